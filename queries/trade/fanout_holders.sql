-- What a decision needs of the next holders of a whale's position, for a signal that changes or closes it: those with an
-- open copy, and those whose entry is still on its way (fanout_entry.sql: same columns).
-- $1 signal, $2 whale, $3 after this user, $4 how many, $5 instruments that stand for the signal's, $6 whether the
-- position is long
with holders as (
  select distinct on (user_id) user_id, account_id, instrument_id
  from (select p.user_id, p.account_id, p.instrument_id from positions p
        where p.whale_id = $2::bigint and p.instrument_id = any ($5::bigint[]) and p.state = 'OPEN' and p.user_id > $3::bigint
          and (p.quantity > 0) = $6::boolean
        union all
        select t.user_id, t.account_id, t.instrument_id from trades t
        where t.unfinished and not t.reduce_only and t.whale_id = $2::bigint and t.instrument_id = any ($5::bigint[])
          and t.user_id > $3::bigint and (t.side = 'BUY') = $6::boolean) either
  where not exists (select from trades t where t.user_id = either.user_id and t.signal_id = $1::bigint)
  order by user_id limit $4::int)
select o.user_id, u.version, u.state::text, u.tier::text,
  s.mode, s.auto_copy, s.auto_copy_delay_s, s.default_size, s.maximum_size, s.daily_loss_limit, s.maximum_positions,
  s.default_leverage, s.maximum_leverage, s.close_on_whale_exit,
  f.id, f.version, f.active and f.auto_copy, f.size_kind::text, f.size_value, f.leverage, f.copy_leverage,
  a.id, a.state::text, a.venue, a.ref, a.secret, a.can_futures, a.position_mode,
  o.instrument_id,
  (select i.leverage from account_instruments i
   where i.user_id = o.user_id and i.account_id = a.id and i.instrument_id = o.instrument_id) as account_leverage,
  (select l.balance from ledger_accounts l join instruments n on n.id = o.instrument_id
   where l.user_id = o.user_id and l.account_id = a.id and l.asset = n.settle_asset and l.kind = 'AVAILABLE') as available,
  0::bigint as open_positions,
  case when s.daily_loss_limit is not null then whale_loss_since(o.user_id, whale_day_start(u.time_zone)) end as loss_today,
  h.id as position_id, h.version as position_version, h.quantity, h.entry_notional, h.margin, h.leverage as position_leverage,
  h.realised_pnl, h.fees,
  (select coalesce(sum(p.quantity), 0) from positions p
   where p.user_id = o.user_id and p.account_id = a.id and p.instrument_id = o.instrument_id and p.state = 'OPEN'
     and p.whale_id is distinct from $2::bigint) as other_quantity,
  coalesce(lane.entries_long, 0), coalesce(lane.entries_short, 0), coalesce(lane.exits_long, 0), coalesce(lane.exits_short, 0),
  coalesce(lane.others_long, 0), coalesce(lane.others_short, 0)
from holders o
join users u on u.id = o.user_id
left join user_settings s on s.user_id = o.user_id
left join follows f on f.user_id = o.user_id and f.whale_id = $2::bigint
join venue_accounts a on a.user_id = o.user_id and a.id = o.account_id
left join lateral (
  select * from positions p
  where p.user_id = o.user_id and p.account_id = a.id and p.instrument_id = o.instrument_id and p.state = 'OPEN'
    and p.whale_id = $2::bigint limit 1) h on true
left join lateral (
  select sum(t.quantity) filter (where t.whale_id = $2::bigint and not t.reduce_only and t.side = 'BUY') as entries_long,
    sum(t.quantity) filter (where t.whale_id = $2::bigint and not t.reduce_only and t.side = 'SELL') as entries_short,
    sum(t.quantity) filter (where t.whale_id = $2::bigint and t.reduce_only and t.side = 'SELL') as exits_long,
    sum(t.quantity) filter (where t.whale_id = $2::bigint and t.reduce_only and t.side = 'BUY') as exits_short,
    sum(t.quantity) filter (where t.whale_id is distinct from $2::bigint and not t.reduce_only and t.side = 'BUY') as others_long,
    sum(t.quantity) filter (where t.whale_id is distinct from $2::bigint and not t.reduce_only and t.side = 'SELL') as others_short
  from trades t where t.user_id = o.user_id and t.account_id = a.id and t.instrument_id = o.instrument_id and t.unfinished) lane on true
order by o.user_id
