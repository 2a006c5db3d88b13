-- First statement of a request with a session: becomes the user that the token names, until the transaction ends.
-- $1 user id, $2 statement timeout in ms
select set_config('whale.user_id', $1::text, true),
       set_config('statement_timeout', $2::text, true), set_config('client_connection_check_interval', '500', true),
       set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true)
