-- An entry that was given up has surfaced at the venue: it is unfinished again, with nothing held, and will be settled.
-- arrays: $1 user, $2 trade
update trades t
set state = 'UNKNOWN', unfinished = true, hold = 0, reason = null, settled_at = null, owner = null, lease_until = null,
  ask_after = clock_timestamp(), asks = 0
from unnest($1::bigint[], $2::bigint[]) as c(user_id, id)
where t.user_id = c.user_id and t.id = c.id and case when t.state = 'FAILED' then t.reason = 'unclear_not_found' end
