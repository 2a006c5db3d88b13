-- A user whom Telegram vouches for: made or found, and then the user of this transaction. Behind begin.sql, for it
-- may have to wait for a lock, and its timeouts hold only for what follows it.
-- $1 Telegram id, $2 username, $3 first name, $4 language
select s.user_id, s.created from web_sign_in($1::bigint, $2::text, $3::text, $4::text) s
