-- Writes what became of claimed notifications. $1 user ids, $2 ids, $3 states, $4 reasons, $5 when to try again. Rows
-- given back without a reason were not tried (it was not their turn): that was no attempt. The CASE keeps the planner from the
-- index of due ones, which it would read once for each row.
update notifications n
set state = r.state::notification_state,
    attempts = n.attempts - (r.state = 'PENDING' and r.reason is null)::int, reason = r.reason, send_after = coalesce(r.send_after, n.send_after),
    sent_at = case when r.state = 'SENT' then now() end, owner = null, lease_until = null
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[]) r (user_id, id, state, reason, send_after)
where n.user_id = r.user_id and n.id = r.id and case when n.state = 'PENDING' then true end;
