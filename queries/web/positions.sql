-- Open positions of the user, oldest first: what mirror writes of them, and what the price is applied to.
-- $1 id of the last one seen, $2 limit
select p.id, i.venue, i.market, i.native as symbol, p.quantity, p.leverage, p.margin, p.whale_id, w.name as whale_name,
       p.opened_at, p.entry_notional, i.contract_size, i.name as instrument, count(*) over () as total
from positions p
join instruments i on i.id = p.instrument_id
left join whales w on w.id = p.whale_id
where p.user_id = whale_user() and p.state = 'OPEN' and ($1::bigint is null or p.id > $1::bigint)
order by p.id
limit $2::integer
