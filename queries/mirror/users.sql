-- What shared memory shows of these users, in one statement and so of one moment. $1 user ids, $2 most positions of one.
-- A row a position, or one without.
select u.id, u.telegram_id, u.session_epoch, u.tier::text, u.state::text, u.version, b.total, b.available,
       p.id, p.quantity, p.entry_notional, p.margin, p.realised_pnl, p.leverage, whale_ns(p.opened_at),
       i.id, i.name, i.venue, i.market, i.native, i.contract_size, p.whale_id, w.name
from unnest($1::bigint[]) as wanted (id)
join users u on u.id = wanted.id
cross join lateral (
  select coalesce(sum(l.available + l.held + l.position), 0) as total, coalesce(sum(l.available), 0) as available
  from ledger_balances l join venue_accounts a on a.user_id = l.user_id and a.id = l.account_id and a.removed_at is null
  where l.user_id = u.id and l.asset = 'USDT') b
left join lateral (
  select * from positions o where o.user_id = u.id and o.state = 'OPEN' order by o.id limit $2::bigint) p on true
left join instruments i on i.id = p.instrument_id
left join whales w on w.id = p.whale_id
order by u.id, p.id
