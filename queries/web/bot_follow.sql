-- /follow of the bot: follows a whale, or changes the size of a follow and nothing else of it. No row: no such whale, or
-- the plan's limit is reached. $1 whale, $2 size in USDT (null: the user's own)
with me as (
  select u.id from users u
  where u.id = whale_user()
    and (u.tier = 'ELITE'
         or (select count(*) from follows f where f.user_id = u.id and f.active and f.whale_id <> $1::bigint) < 5)
)
insert into follows as f (user_id, whale_id, size_kind, size_value)
select me.id, w.id, case when $2::numeric is not null then 'FIXED'::size_kind end, $2::numeric
from me, whales w
where w.id = $1::bigint
on conflict (user_id, whale_id) do update
  set size_kind = coalesce(excluded.size_kind, f.size_kind), size_value = coalesce(excluded.size_value, f.size_value),
      active = true, stopped_at = null
returning f.whale_id, f.size_value, f.size_kind
