-- Claims waiting trades of one venue's market, the oldest unfinished of their lane only: commits owner, lease and the time
-- that the request will be signed with. (claim_unknown.sql and reload.sql give the same columns, up to the delay.)
-- What an entry was decided on long ago is told as it is now: the follow, the account, the maximum leverage, the whale.
-- $1 owner, $2 lease in microseconds, $3 requested at, $4 venue, $5 market, $6 how many
with due as (
  select t.user_id, t.id from trades t join instruments i on i.id = t.instrument_id
  where t.unfinished and t.state = 'PENDING' and i.venue = $4::text and i.market = $5::text
    and (t.ask_after is null or t.ask_after <= clock_timestamp())
    and not exists (select from trades e where e.user_id = t.user_id and e.account_id = t.account_id
      and e.instrument_id = t.instrument_id and e.unfinished and e.id < t.id)
  order by t.reduce_only desc, t.id limit $6::int for update of t skip locked
), t as (
  update trades t
  set state = 'EXECUTING', owner = $1::text, lease_until = clock_timestamp() + $2::bigint * interval '1 microsecond',
    requested_at = $3::timestamptz, ask_after = null, sent_at = null, accepted_at = null
  from due where t.user_id = due.user_id and t.id = due.id
  returning t.*
), forgotten as ( -- the venue is about to be told another leverage: until it has answered, what is set is not known
  delete from account_instruments i using t
  where i.user_id = t.user_id and i.account_id = t.account_id and i.instrument_id = t.instrument_id
    and not t.reduce_only and i.leverage <> t.leverage
)
select t.user_id, t.id, t.account_id, t.instrument_id, t.side::text, t.reduce_only, t.close_reason::text, t.quantity, t.leverage,
  t.hold, t.price, t.client_order_id, t.attempt, t.whale_id, t.follow_id, t.asks, whale_ns(t.detected_at), whale_ns(t.reserved_at),
  whale_ns(t.requested_at), t.venue_order_id, u.state::text, a.ref, a.secret, a.state::text,
  case when s.closes then s.fraction end,
  (select i.leverage from account_instruments i
   where i.user_id = t.user_id and i.account_id = t.account_id and i.instrument_id = t.instrument_id),
  (select coalesce(sum(p.quantity), 0) from positions p
   where p.user_id = t.user_id and p.account_id = t.account_id and p.instrument_id = t.instrument_id and p.state = 'OPEN'),
  h.id, h.version, h.quantity, h.entry_notional, h.margin, h.leverage, h.realised_pnl, h.fees, whale_ns(t.sent_at), whale_ns(t.accepted_at),
  t.position_id, coalesce((select auto_copy_delay_s from user_settings where user_id = t.user_id), 0),
  coalesce(s.kind::text, ''),
  t.follow_id is null or exists (select from follows f where f.user_id = t.user_id and f.id = t.follow_id and f.active and f.auto_copy)
    and coalesce((select auto_copy from user_settings where user_id = t.user_id), true) as copied,
  a.removed_at is not null as removed,
  coalesce((select maximum_leverage from user_settings where user_id = t.user_id), 0),
  exists (select from signals g where g.whale_id = s.whale_id and g.native = s.native and g.position_side = s.position_side
    and g.whale_version > s.whale_version and g.closes and g.kind = 'CLOSE') as left_since
from t
join users u on u.id = t.user_id
join venue_accounts a on a.user_id = t.user_id and a.id = t.account_id
left join signals s on s.id = t.signal_id
left join lateral (
  select * from positions p
  where p.user_id = t.user_id and p.account_id = t.account_id and p.instrument_id = t.instrument_id and p.state = 'OPEN'
    and (p.id = t.position_id or t.position_id is null and p.whale_id is not distinct from t.whale_id) limit 1) h on true
order by t.id
