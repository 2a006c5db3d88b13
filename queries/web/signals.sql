-- Signals, newest first. $1 id of the last one seen, $2 whale, $3 symbol, $4 kind, $5 status, $6 from, $7 to, $8 limit
select s.id, s.whale_id, coalesce(w.name, '') as whale_name, w.venue, w.market, s.native as symbol, s.kind, s.side,
       s.position_side, s.closes, s.leverage, s.price, s.notional, s.quantity_before, s.quantity_after, s.fraction, s.confidence,
       s.confidence_score, s.state as status, s.reason, s.copies, s.skips, s.detected_at, s.processed_at
from signals s
join whales w on w.id = s.whale_id
where ($1::bigint is null or s.id < $1::bigint)
  and ($2::bigint is null or s.whale_id = $2::bigint)
  and ($3::text is null or s.native = $3::text)
  and ($4::text is null or s.kind = $4::signal_kind)
  and ($5::text is null or s.state = $5::signal_state)
  and ($6::timestamptz is null or s.detected_at >= $6::timestamptz)
  and ($7::timestamptz is null or s.detected_at < $7::timestamptz)
order by s.id desc
limit $8::integer
