-- First statement of a request whose user Telegram vouches for: makes or finds the user, and becomes that user until the
-- transaction ends. Settings are set here, for the transaction, so that they hold behind a pooler too.
-- $1 Telegram id, $2 username, $3 first name, $4 language, $5 statement timeout in ms
select s.user_id, s.created,
       set_config('statement_timeout', $5::text, true), set_config('client_connection_check_interval', '500', true),
       set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true)
from web_sign_in($1::bigint, $2::text, $3::text, $4::text) s
