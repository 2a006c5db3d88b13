-- The newest trade id given out; in time, it parts old trades from those that may still fill.
select coalesce(pg_sequence_last_value(pg_get_serial_sequence('trades', 'id')::regclass), 0)
