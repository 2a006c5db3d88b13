-- What a whale holds, as last read. $1 whale
select p.native as symbol, case when p.quantity < 0 then 'SHORT' else 'LONG' end as side, p.position_side,
       abs(p.quantity) as quantity, p.entry_price, p.leverage, p.margin_mode, p.updated_at
from whale_positions p
where p.whale_id = $1::bigint and p.quantity <> 0
order by p.native, p.position_side
limit 200
