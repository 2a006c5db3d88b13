-- A good read that changed nothing. $1 whale, $2 owner, $3 positions_version, $4 whether it is a baseline, $5 pause in
-- microseconds. The next read is due a pause after the last one was, so that lateness does not add up.
update whales
set last_good_at = now(), baseline_at = case when $4::boolean then now() else baseline_at end, unknown_reads = 0, status = 'ACTIVE',
    owner = null, lease_until = null,
    next_read_at = greatest(next_read_at + $5::bigint * interval '1 microsecond', now() + ($5::bigint / 2) * interval '1 microsecond')
where id = $1::bigint and owner = $2::text and positions_version = $3::bigint
