-- What was answered to this key. $1 key, $2 hash of the request
select status, body, request_hash = $2::bytea as same from idempotency where user_id = whale_user() and key = $1::text
