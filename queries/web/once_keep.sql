-- Keeps an answer with the write that it tells of. $1 key, $2 hash of the request, $3 status, $4 body
insert into idempotency (user_id, key, request_hash, status, body)
values (whale_user(), $1::text, $2::bytea, $3::integer, $4::text)
on conflict do nothing
