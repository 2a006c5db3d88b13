-- The end of trades, all or none: where a claim is ours no more, or a trade has ended, the whole batch is refused, and C
-- looks at each of them. The conditions stand inside a CASE so that the planner cannot guess from them that one trade is
-- meant, and scan the table once for each row of the batch: the key alone finds them.
-- $1 owner; arrays: $2 user, $3 trade, $4 requested at, $5 state, $6 reason, $7 venue code, $8 venue message,
-- $9 the venue's order id, $10 filled, $11 average price, $12 fee, $13 realised, $14 sent at, $15 accepted at, $16 ask after
with ended as (
  update trades t
  set state = c.state, unfinished = false, reason = c.reason, venue_code = c.venue_code, venue_message = c.venue_message,
    venue_order_id = c.venue_order_id, filled_quantity = c.filled, average_price = c.average_price, fee = c.fee,
    realised_pnl = c.realised_pnl, sent_at = coalesce(c.sent_at, t.sent_at), accepted_at = coalesce(c.accepted_at, t.accepted_at),
    settled_at = clock_timestamp(), owner = null, lease_until = null, ask_after = c.ask_after
  from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::trade_state[], $6::text[], $7::int[], $8::text[], $9::text[],
      $10::numeric[], $11::numeric[], $12::numeric[], $13::numeric[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[])
    as c(user_id, id, requested_at, state, reason, venue_code, venue_message, venue_order_id, filled, average_price, fee,
      realised_pnl, sent_at, accepted_at, ask_after)
  where t.user_id = c.user_id and t.id = c.id
    and case when t.unfinished and t.state in ('EXECUTING', 'UNKNOWN') and t.owner = $1::text then t.requested_at = c.requested_at end
  returning 1
)
select require_count(count(*), cardinality($2::bigint[])) from ended
