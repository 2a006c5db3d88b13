-- What a decision needs of the next holders of a whale's position, for a signal that changes or closes it: those with an
-- open copy, and those whose entry is still on its way (fanout_entry.sql: same columns).
-- $1 signal, $2 whale, $3 after this user, $4 how many, $5 instruments that stand for the signal's, $6 whether the
-- position is long, $7 whether some of them may have a row already (another try)
with holders as materialized (
  select distinct on (user_id) user_id, account_id, instrument_id
  from (select p.user_id, p.account_id, p.instrument_id from positions p
        where p.whale_id = $2::bigint and p.instrument_id = any ($5::bigint[]) and p.state = 'OPEN' and p.user_id > $3::bigint
          and (p.quantity > 0) = $6::boolean
        union all
        select t.user_id, t.account_id, t.instrument_id from trades t
        where t.unfinished and not t.reduce_only and t.whale_id = $2::bigint and t.instrument_id = any ($5::bigint[])
          and t.user_id > $3::bigint and (t.side = 'BUY') = $6::boolean) either
  where not ($7::boolean and exists (select from trades t where t.user_id = either.user_id and t.signal_id = $1::bigint))
  order by user_id limit $4::int)
select o.user_id, u.version, u.state::text, u.tier::text,
  s.mode, s.auto_copy, s.auto_copy_delay_s, s.default_size, s.maximum_size, s.daily_loss_limit, s.maximum_positions,
  s.default_leverage, s.maximum_leverage, s.close_on_whale_exit,
  f.id, f.version, f.active and f.auto_copy, f.size_kind::text, f.size_value, f.leverage, f.copy_leverage,
  a.id, a.state::text, a.venue, a.ref, a.secret, a.can_futures, a.position_mode,
  o.instrument_id as instrument_id,
  (select i.leverage from account_instruments i
   where i.user_id = o.user_id and i.account_id = a.id and i.instrument_id = o.instrument_id) as account_leverage,
  (select b.available from ledger_balances b
   where b.user_id = o.user_id and b.account_id = a.id and b.asset = (select n.settle_asset from instruments n where n.id = o.instrument_id)) as available,
  h.open_positions + lane.first_entries as open_positions,
  case when s.daily_loss_limit is not null then whale_loss_since(o.user_id, whale_day_start(u.time_zone)) end as loss_today,
  h.id, h.version, h.quantity, h.entry_notional, h.margin, h.leverage, h.realised_pnl, h.fees, h.other_quantity,
  lane.entries_long, lane.entries_short, lane.exits_long, lane.exits_short, lane.others_long, lane.others_short
from holders o
join users u on u.id = o.user_id
left join user_settings s on s.user_id = o.user_id
left join follows f on f.user_id = o.user_id and f.whale_id = $2::bigint
join venue_accounts a on a.user_id = o.user_id and a.id = o.account_id
left join lateral (
  select count(*) as open_positions, sum(p.quantity) filter (where here.other) as other_quantity,
    max(p.id) filter (where here.own) as id, max(p.version) filter (where here.own) as version,
    sum(p.quantity) filter (where here.own) as quantity, sum(p.entry_notional) filter (where here.own) as entry_notional,
    sum(p.margin) filter (where here.own) as margin, max(p.leverage) filter (where here.own) as leverage,
    sum(p.realised_pnl) filter (where here.own) as realised_pnl, sum(p.fees) filter (where here.own) as fees
  from positions p
  cross join lateral (select p.account_id = a.id and p.instrument_id = o.instrument_id and p.whale_id = $2::bigint as own,
    p.account_id = a.id and p.instrument_id = o.instrument_id and p.whale_id is distinct from $2::bigint as other) here
  where p.user_id = o.user_id and p.state = 'OPEN') h on true
left join lateral (
  select count(*) filter (where not t.reduce_only and t.position_id is null) as first_entries,
    sum(t.quantity) filter (where here.own and not t.reduce_only and t.side = 'BUY') as entries_long,
    sum(t.quantity) filter (where here.own and not t.reduce_only and t.side = 'SELL') as entries_short,
    sum(t.quantity) filter (where here.own and t.reduce_only and t.side = 'SELL') as exits_long,
    sum(t.quantity) filter (where here.own and t.reduce_only and t.side = 'BUY') as exits_short,
    sum(t.quantity) filter (where here.other and not t.reduce_only and t.side = 'BUY') as others_long,
    sum(t.quantity) filter (where here.other and not t.reduce_only and t.side = 'SELL') as others_short
  from trades t
  cross join lateral (select t.account_id = a.id and t.instrument_id = o.instrument_id and t.whale_id = $2::bigint as own,
    t.account_id = a.id and t.instrument_id = o.instrument_id and t.whale_id is distinct from $2::bigint as other) here
  where t.user_id = o.user_id and t.unfinished) lane on true
order by o.user_id
