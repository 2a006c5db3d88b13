-- Fixes what a claimed close closes, where the position is another one than when it was decided. Nothing was sent yet.
-- $1 owner; arrays: $2 user, $3 trade, $4 requested at, $5 position, $6 quantity
update trades t set position_id = c.position_id, quantity = c.quantity
from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::numeric[]) as c(user_id, id, requested_at, position_id, quantity)
where t.user_id = c.user_id and t.id = c.id
  and case when t.state = 'EXECUTING' and t.owner = $1::text then t.requested_at = c.requested_at end
returning t.user_id, t.id
