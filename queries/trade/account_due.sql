-- Accounts that are due for a look, taken for a minute. $1 new ones at most, $2 known ones at most.
with fresh as (
  select user_id, id from venue_accounts
  where removed_at is null and state = 'NEW' and check_after <= now() order by check_after limit $1::bigint for update skip locked
), known as (
  select user_id, id from venue_accounts
  where removed_at is null and state = 'ACTIVE' and check_after <= now() order by check_after limit $2::bigint for update skip locked
), due as (
  select * from fresh union all select * from known
)
update venue_accounts a set check_after = now() + interval '60 s'
from due where a.user_id = due.user_id and a.id = due.id
returning a.user_id, a.id, a.ref, a.venue, a.market, a.state, encode(a.sealed, 'hex'), a.secret
