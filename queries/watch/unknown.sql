-- A read that told nothing. Positions stay what they were. $1 whale, $2 owner, $3 whether the whale hid them, $4 status (null:
-- as it was), $5 pause in microseconds
update whales
set unknown_reads = unknown_reads + $3::boolean::int,
    status = coalesce($4::text::data_status, status), owner = null, lease_until = null,
    next_read_at = now() + $5::bigint * interval '1 microsecond'
where id = $1::bigint and owner = $2::text
