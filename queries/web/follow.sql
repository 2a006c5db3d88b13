-- Follows a whale, or follows it in another way. No row: no such whale, or the plan's limit is reached (FREE and PRO: 5).
-- $1 whale, $2 auto copy, $3 size kind, $4 size, $5 leverage, $6 copy leverage, $7 stop loss, $8 take profit
with me as (
  select u.id from users u
  where u.id = whale_user()
    and (u.tier = 'ELITE'
         or (select count(*) from follows f where f.user_id = u.id and f.active and f.whale_id <> $1::bigint) < 5)
)
insert into follows as f (user_id, whale_id, auto_copy, size_kind, size_value, leverage, copy_leverage, stop_loss_percent,
                          take_profit_percent)
select me.id, w.id, $2::boolean, upper($3::text)::size_kind, $4::numeric, $5::integer, $6::boolean, $7::numeric, $8::numeric
from me, whales w
where w.id = $1::bigint
on conflict (user_id, whale_id) do update
  set auto_copy = excluded.auto_copy, size_kind = excluded.size_kind, size_value = excluded.size_value,
      leverage = excluded.leverage, copy_leverage = excluded.copy_leverage, stop_loss_percent = excluded.stop_loss_percent,
      take_profit_percent = excluded.take_profit_percent, active = true, stopped_at = null
returning f.whale_id, f.auto_copy, lower(f.size_kind::text) as size_kind, f.size_value, f.leverage, f.copy_leverage,
          f.stop_loss_percent, f.take_profit_percent, f.active, f.created_at, f.version = 1 as _new
