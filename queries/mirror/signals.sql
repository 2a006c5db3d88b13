-- Signals as the live feed tells them. $1 signal ids
select s.id, s.whale_id, w.name, w.venue, w.market, s.native, s.position_side::text, s.kind::text, s.side::text, s.closes,
       s.leverage, s.price, s.notional, s.fraction, s.confidence::text, s.confidence_score, s.state::text, whale_ns(s.detected_at)
from unnest($1::bigint[]) as wanted (id)
join signals s on s.id = wanted.id
join whales w on w.id = s.whale_id
order by s.id
