-- Claims whose owner is dead or whose lease is over become UNKNOWN: they are asked about, never sent again. An owner holds
-- an advisory lock for its life; where that lock is free, the owner is gone.
-- $1 owner that asks
with free as materialized (
  select owner from (
    select owner from trades where unfinished and owner is not null and owner <> $1::text
    union
    select owner from signals where state = 'PROCESSING' and owner <> $1::text) others
  where pg_try_advisory_xact_lock(hashtextextended(owner, 0))
), resumed as (
  update signals set state = 'PENDING', owner = null, lease_until = null
  where state = 'PROCESSING' and owner in (select owner from free)
), due as (
  select t.user_id, t.id from trades t
  where t.unfinished and (t.state = 'EXECUTING' and t.lease_until < clock_timestamp()
    or t.state in ('EXECUTING', 'UNKNOWN') and t.owner in (select owner from free))
  limit 1000 for update of t skip locked
)
update trades t set state = 'UNKNOWN', owner = null, lease_until = null, ask_after = clock_timestamp()
from due where t.user_id = due.user_id and t.id = due.id
returning t.user_id, t.id
