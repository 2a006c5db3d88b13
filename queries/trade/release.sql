-- Gives claimed trades back: nothing of this attempt is at the venue. A claim is known by its request time, so that a
-- repeated release cannot take back a later claim.
-- $1 owner; arrays: $2 user, $3 trade, $4 requested at, $5 attempt, $6 wait until
update trades t
set state = 'PENDING', owner = null, lease_until = null, requested_at = null, sent_at = null, attempt = c.attempt, ask_after = c.wait_until
from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::int[], $6::timestamptz[]) as c(user_id, id, requested_at, attempt, wait_until)
where t.user_id = c.user_id and t.id = c.id
  and case when t.state = 'EXECUTING' and t.owner = $1::text then t.requested_at = c.requested_at end
