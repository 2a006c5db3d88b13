-- $1 signal, $2 owner, $3 final state, $4 reason
update signals s
set state = $3::signal_state, reason = $4::text, processed_at = clock_timestamp(), owner = null, lease_until = null,
  copies = (select count(*) from trades t where t.signal_id = s.id and t.client_order_id is not null),
  skips = (select count(*) from trades t where t.signal_id = s.id and t.client_order_id is null)
where s.id = $1::bigint and s.owner = $2::text and s.state = 'PROCESSING'
returning s.copies, s.skips
