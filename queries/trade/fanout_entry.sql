-- What a decision needs of the next followers of a whale, for a signal that opens (fanout_holders.sql: same columns).
-- $1 signal, $2 whale, $3 after this user, $4 how many, $5 instruments that stand for the signal's, $6 its venue,
-- $7 its market, $8 settle asset
select f.user_id, u.version, u.state::text, u.tier::text,
  s.mode, s.auto_copy, s.auto_copy_delay_s, s.default_size, s.maximum_size, s.daily_loss_limit, s.maximum_positions,
  s.default_leverage, s.maximum_leverage, s.close_on_whale_exit,
  f.id, f.version, f.active and f.auto_copy, f.size_kind::text, f.size_value, f.leverage, f.copy_leverage,
  a.id, a.state::text, a.venue, a.ref, a.secret, a.can_futures, a.position_mode,
  null::bigint as instrument_id,
  (select i.leverage from account_instruments i
   where i.user_id = f.user_id and i.account_id = a.id and i.instrument_id = any ($5::bigint[])) as account_leverage,
  (select l.balance from ledger_accounts l
   where l.user_id = f.user_id and l.account_id = a.id and l.asset = $8::text and l.kind = 'AVAILABLE') as available,
  (select count(*) from positions p where p.user_id = f.user_id and p.state = 'OPEN') + coalesce(lane.first_entries, 0) as open_positions,
  case when s.daily_loss_limit is not null then whale_loss_since(f.user_id, whale_day_start(u.time_zone)) end as loss_today,
  h.id as position_id, h.version as position_version, h.quantity, h.entry_notional, h.margin, h.leverage as position_leverage,
  h.realised_pnl, h.fees,
  (select coalesce(sum(p.quantity), 0) from positions p
   where p.user_id = f.user_id and p.account_id = a.id and p.instrument_id = any ($5::bigint[]) and p.state = 'OPEN'
     and p.whale_id is distinct from f.whale_id) as other_quantity,
  coalesce(lane.entries_long, 0), coalesce(lane.entries_short, 0), coalesce(lane.exits_long, 0), coalesce(lane.exits_short, 0),
  coalesce(lane.others_long, 0), coalesce(lane.others_short, 0)
from follows f
join users u on u.id = f.user_id
left join user_settings s on s.user_id = f.user_id
left join lateral (
  select * from venue_accounts v
  where v.user_id = f.user_id and v.removed_at is null and v.market = $7::text
  order by (v.venue = $6::text) desc, (v.venue = s.preferred_venue) desc, v.id limit 1) a on true
left join lateral (
  select * from positions p
  where p.user_id = f.user_id and p.account_id = a.id and p.instrument_id = any ($5::bigint[]) and p.state = 'OPEN'
    and p.whale_id = f.whale_id limit 1) h on true
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
where f.whale_id = $2::bigint and f.user_id > $3::bigint and f.active and f.auto_copy
  and not exists (select from trades t where t.user_id = f.user_id and t.signal_id = $1::bigint)
order by f.user_id limit $4::int
