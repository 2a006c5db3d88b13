-- Where following begins: every change with an older xid is visible to whoever looks from now on.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
       coalesce(pg_sequence_last_value(pg_get_serial_sequence('trades', 'id')::regclass), 0)
