-- Takes entries that were given up as unclear, to be asked about once more (columns: claim.sql). The time of the next
-- question is moved on here, so that nobody needs a lease: 30 s, 2 min and 10 min after the end.
-- $1 venue, $2 market, $3 how many
with due as (
  select t.user_id, t.id from trades t join instruments i on i.id = t.instrument_id
  where not t.unfinished and t.ask_after <= clock_timestamp() and i.venue = $1::text and i.market = $2::text
  order by t.ask_after limit $3::int for update of t skip locked
), t as (
  update trades t
  set ask_after = case
    when t.ask_after < t.settled_at + interval '60 s' then t.settled_at + interval '120 s'
    when t.ask_after < t.settled_at + interval '300 s' then t.settled_at + interval '600 s' end
  from due where t.user_id = due.user_id and t.id = due.id
  returning t.*
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
  t.position_id, coalesce((select auto_copy_delay_s from user_settings where user_id = t.user_id), 0)
from t
join users u on u.id = t.user_id
join venue_accounts a on a.user_id = t.user_id and a.id = t.account_id
left join signals s on s.id = t.signal_id
left join lateral (
  select * from positions p
  where p.user_id = t.user_id and p.account_id = t.account_id and p.instrument_id = t.instrument_id and p.state = 'OPEN'
    and (p.id = t.position_id or t.position_id is null and p.whale_id is not distinct from t.whale_id) limit 1) h on true
order by t.id
