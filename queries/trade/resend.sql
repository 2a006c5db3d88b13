-- A close that the venue does not know and whose position is still there is sent again, under the same id.
-- $1 owner, $2 lease in microseconds; arrays: $3 user, $4 trade, $5 old request time, $6 new request time
update trades t
set state = 'EXECUTING', lease_until = clock_timestamp() + $2::bigint * interval '1 microsecond', requested_at = c.requested_again, asks = 0
from unnest($3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[]) as c(user_id, id, requested_at, requested_again)
where t.user_id = c.user_id and t.id = c.id
  and case when t.state = 'UNKNOWN' and t.reduce_only and t.owner = $1::text then t.requested_at = c.requested_at end
returning t.user_id, t.id
