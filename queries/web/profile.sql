-- The user, with the balance over all connected accounts: what is free, held for orders, and margin of open positions.
select u.id, u.telegram_id, u.username, u.first_name, u.language, u.time_zone, u.tier as subscription_tier, u.state,
       coalesce(b.total, 0) as total_balance, coalesce(b.available, 0) as available_balance,
       coalesce(b.held, 0) as held_balance, coalesce(b.margin, 0) as position_margin, u.created_at
from users u
left join lateral (
  select sum(a.balance) as total, sum(a.balance) filter (where a.kind = 'AVAILABLE') as available,
         sum(a.balance) filter (where a.kind = 'HELD') as held, sum(a.balance) filter (where a.kind = 'POSITION') as margin
  from ledger_accounts a
  where a.user_id = u.id and a.kind in ('AVAILABLE', 'HELD', 'POSITION') and a.asset = 'USDT') b on true
where u.id = whale_user()
