-- Keeps a reply with the write that it tells of. $1 update id, $2 reply
insert into telegram_updates (update_id, user_id, reply) values ($1::bigint, whale_user(), $2::text) on conflict do nothing
