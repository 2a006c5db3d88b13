-- The user blocked the bot, or is gone: nothing more is sent until they write again.
update users set blocked_bot = true where id = $1::bigint and not blocked_bot;
