-- First statement of every transaction: what holds for the others. Set here and not at connect, so that it holds behind
-- a pooler too. $1 statement timeout in ms
select set_config('statement_timeout', $1::text, true), set_config('client_connection_check_interval', '500', true),
       set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true)
