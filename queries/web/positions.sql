-- Open positions of the user: the members as mirror writes them, in that order, and what the price is applied to.
select p.id, i.venue, i.market, i.native as symbol,
       case when p.quantity < 0 then 'SHORT' else 'LONG' end as side,
       abs(p.quantity) as quantity,
       round(p.entry_notional / abs(p.quantity), 12) as entry_price,
       p.leverage, p.margin, p.whale_id, coalesce(w.name, '') as whale_name, p.opened_at,
       p.quantity as _quantity, p.entry_notional as _entry_notional, p.margin as _margin, i.name as _instrument
from positions p
join instruments i on i.id = p.instrument_id
left join whales w on w.id = p.whale_id
where p.user_id = whale_user() and p.state = 'OPEN'
order by p.id
limit 500
