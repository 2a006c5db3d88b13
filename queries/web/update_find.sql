-- What was replied to this update. $1 update id
select 200 as status, reply as body, true as same from telegram_updates where update_id = $1::bigint and reply is not null
