-- The user, with the balance over all connected accounts: what is free, held for orders, and margin of open positions.
select u.id, u.telegram_id, u.username, u.first_name, u.language, u.time_zone, u.tier as subscription_tier, u.state,
       coalesce(b.total, 0) as total_balance, coalesce(b.available, 0) as available_balance,
       coalesce(b.held, 0) as held_balance, coalesce(b.margin, 0) as position_margin, u.created_at
from users u
left join lateral (
  select sum(l.balance) as total, sum(l.balance) filter (where l.kind = 'AVAILABLE') as available,
         sum(l.balance) filter (where l.kind = 'HELD') as held, sum(l.balance) filter (where l.kind = 'POSITION') as margin
  from ledger_accounts l
  join venue_accounts a on a.user_id = l.user_id and a.id = l.account_id and a.removed_at is null
  where l.user_id = u.id and l.kind in ('AVAILABLE', 'HELD', 'POSITION') and l.asset = 'USDT') b on true
where u.id = whale_user()
