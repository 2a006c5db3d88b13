-- Takes due notifications under a lease, with what their texts need. $1 owner, $2 seconds of lease, $3 most rows.
with due as (
  select user_id, id from notifications
  where state = 'PENDING' and send_after <= now() and (lease_until is null or lease_until < now())
  order by send_after, user_id, id limit $3::bigint
  for update skip locked
), claimed as (
  update notifications n
  set owner = $1::text, lease_until = now() + make_interval(secs => $2::double precision), attempts = n.attempts + 1
  from due where n.user_id = due.user_id and n.id = due.id
  returning n.user_id, n.id, n.kind, n.subject_id, n.attempts
)
select c.user_id, c.id, c.kind, c.attempts, u.telegram_id, u.blocked_bot,
       t.side, t.reduce_only, t.leverage, t.filled_quantity, t.average_price, t.realised_pnl, t.reason as trade_reason,
       i.native, i.quote_asset, w.name as whale, p.state as position_state,
       a.venue, a.label, a.state as account_state, a.reason as account_reason
from claimed c
join users u on u.id = c.user_id
left join trades t on c.kind in ('fill', 'copy_failed') and t.user_id = c.user_id and t.id = c.subject_id
left join instruments i on i.id = t.instrument_id
left join whales w on w.id = t.whale_id
left join positions p on t.reduce_only and p.user_id = t.user_id and p.id = t.position_id
left join venue_accounts a on c.kind = 'account' and a.user_id = c.user_id and a.id = c.subject_id
order by c.user_id, c.id;
