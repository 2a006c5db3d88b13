-- What a decision needs of the next followers of a whale, for a signal that opens (fanout_holders.sql: same columns). The
-- copies of a user are read by user alone, so that no index but the user's own can serve.
-- $1 signal, $2 whale, $3 after this user, $4 how many, $5 instruments that stand for the signal's, $6 its venue,
-- $7 its market, $8 settle asset, $9 whether some of them may have a row already (another try)
select f.user_id, u.version, u.state::text, u.tier::text,
  s.mode, s.auto_copy, s.auto_copy_delay_s, s.default_size, s.maximum_size, s.daily_loss_limit, s.maximum_positions,
  s.default_leverage, s.maximum_leverage, s.close_on_whale_exit,
  f.id, f.version, f.active and f.auto_copy, f.size_kind::text, f.size_value, f.leverage, f.copy_leverage,
  a.id, a.state::text, a.venue, a.ref, a.secret, a.can_futures, a.position_mode,
  null::bigint as instrument_id,
  (select i.leverage from account_instruments i
   where i.user_id = f.user_id and i.account_id = a.id and i.instrument_id = any ($5::bigint[])) as account_leverage,
  (select b.available from ledger_balances b
   where b.user_id = f.user_id and b.account_id = a.id and b.asset = $8::text) as available,
  h.open_positions + lane.first_entries as open_positions,
  case when s.daily_loss_limit is not null then whale_loss_since(f.user_id, whale_day_start(u.time_zone)) end as loss_today,
  h.id, h.version, h.quantity, h.entry_notional, h.margin, h.leverage, h.realised_pnl, h.fees, h.other_quantity,
  lane.entries_long, lane.entries_short, lane.exits_long, lane.exits_short, lane.others_long, lane.others_short
from follows f
join users u on u.id = f.user_id
left join user_settings s on s.user_id = f.user_id
left join lateral (
  select v.id, v.state, v.venue, v.ref, v.secret, v.can_futures, v.position_mode from venue_accounts v
  where v.user_id = f.user_id and v.removed_at is null and v.market = $7::text
  order by (v.venue = $6::text) desc, (v.venue = s.preferred_venue) desc, v.id limit 1) a on true
left join lateral (
  select count(*) as open_positions, sum(p.quantity) filter (where here.other) as other_quantity,
    max(p.id) filter (where here.own) as id, max(p.version) filter (where here.own) as version,
    sum(p.quantity) filter (where here.own) as quantity, sum(p.entry_notional) filter (where here.own) as entry_notional,
    sum(p.margin) filter (where here.own) as margin, max(p.leverage) filter (where here.own) as leverage,
    sum(p.realised_pnl) filter (where here.own) as realised_pnl, sum(p.fees) filter (where here.own) as fees
  from positions p
  cross join lateral (select p.account_id = a.id and p.instrument_id = any ($5::bigint[]) and p.whale_id = f.whale_id as own,
    p.account_id = a.id and p.instrument_id = any ($5::bigint[]) and p.whale_id is distinct from f.whale_id as other) here
  where p.user_id = f.user_id and p.state = 'OPEN') h on true
left join lateral (
  select count(*) filter (where not t.reduce_only and t.position_id is null) as first_entries,
    sum(t.quantity) filter (where here.own and not t.reduce_only and t.side = 'BUY') as entries_long,
    sum(t.quantity) filter (where here.own and not t.reduce_only and t.side = 'SELL') as entries_short,
    sum(t.quantity) filter (where here.own and t.reduce_only and t.side = 'SELL') as exits_long,
    sum(t.quantity) filter (where here.own and t.reduce_only and t.side = 'BUY') as exits_short,
    sum(t.quantity) filter (where here.other and not t.reduce_only and t.side = 'BUY') as others_long,
    sum(t.quantity) filter (where here.other and not t.reduce_only and t.side = 'SELL') as others_short
  from trades t
  cross join lateral (select t.account_id = a.id and t.instrument_id = any ($5::bigint[]) and t.whale_id = f.whale_id as own,
    t.account_id = a.id and t.instrument_id = any ($5::bigint[]) and t.whale_id is distinct from f.whale_id as other) here
  where t.user_id = f.user_id and t.unfinished) lane on true
where f.whale_id = $2::bigint and f.user_id > $3::bigint and u.id > $3::bigint and f.active and f.auto_copy
  and not ($9::boolean and exists (select from trades t where t.user_id = f.user_id and t.signal_id = $1::bigint))
order by f.user_id limit $4::int
