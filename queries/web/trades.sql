-- The user's trades, newest first, or oldest first with $8.
-- $1 id of the last one seen, $2 state, $3 symbol, $4 whale, $5 from, $6 to, $7 limit, $8 oldest first
select t.id, t.state, t.reason, t.signal_id, t.whale_id, coalesce(w.name, '') as whale_name, i.venue, i.market, i.native as symbol,
       t.side, t.reduce_only, t.close_reason, t.position_id, t.size, t.leverage, t.price, t.quantity, t.filled_quantity,
       t.average_price, t.fee, t.realised_pnl, t.venue_message, t.detected_at, t.reserved_at, t.sent_at, t.accepted_at, t.settled_at
from trades t
left join instruments i on i.id = t.instrument_id
left join whales w on w.id = t.whale_id
where t.user_id = whale_user()
  and ($1::bigint is null or case when $8::boolean then t.id > $1::bigint else t.id < $1::bigint end)
  and ($2::text is null or t.state = $2::trade_state)
  and ($3::text is null or i.native = $3::text)
  and ($4::bigint is null or t.whale_id = $4::bigint)
  and ($5::timestamptz is null or t.reserved_at >= $5::timestamptz)
  and ($6::timestamptz is null or t.reserved_at < $6::timestamptz)
order by case when $8::boolean then t.id end, t.id desc
limit $7::integer
