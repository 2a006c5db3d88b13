-- The venue's instruments as it tells them now; rows that say the same are left alone. $1 venue, $2 market, then a column
-- each: $3 native, $4 underlying, $5 base, $6 quote, $7 settle, $8 multiplier, $9 contract size, $10 inverse, $11 unit,
-- $12 tick, $13 step, $14 least, $15 most, $16 market step, $17 market least, $18 market most, $19 least notional,
-- $20 waived for reduce-only, $21 trading.
insert into instruments as i (name, venue, market, native, underlying, base_asset, quote_asset, settle_asset, multiplier,
  contract_size, inverse, quantity_unit, price_tick, quantity_step, quantity_min, quantity_max, market_quantity_step,
  market_quantity_min, market_quantity_max, notional_min, notional_min_waived_reduce_only, trading)
select $1::text || ':' || $2::text || ':' || r.native, $1::text, $2::text, r.*
from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::numeric[], $9::numeric[], $10::boolean[],
            $11::text[], $12::numeric[], $13::numeric[], $14::numeric[], $15::numeric[], $16::numeric[], $17::numeric[],
            $18::numeric[], $19::numeric[], $20::boolean[], $21::boolean[])
  as r (native, underlying, base_asset, quote_asset, settle_asset, multiplier, contract_size, inverse, quantity_unit,
        price_tick, quantity_step, quantity_min, quantity_max, market_quantity_step, market_quantity_min,
        market_quantity_max, notional_min, waived, trading)
order by r.native
on conflict (venue, market, native) do update
set price_tick = excluded.price_tick, quantity_step = excluded.quantity_step, quantity_min = excluded.quantity_min,
    quantity_max = excluded.quantity_max, market_quantity_step = excluded.market_quantity_step,
    market_quantity_min = excluded.market_quantity_min, market_quantity_max = excluded.market_quantity_max,
    notional_min = excluded.notional_min, notional_min_waived_reduce_only = excluded.notional_min_waived_reduce_only,
    trading = excluded.trading, updated_at = now()
where (i.price_tick, i.quantity_step, i.quantity_min, i.quantity_max, i.market_quantity_step, i.market_quantity_min,
       i.market_quantity_max, i.notional_min, i.notional_min_waived_reduce_only, i.trading)
   is distinct from
      (excluded.price_tick, excluded.quantity_step, excluded.quantity_min, excluded.quantity_max,
       excluded.market_quantity_step, excluded.market_quantity_min, excluded.market_quantity_max, excluded.notional_min,
       excluded.notional_min_waived_reduce_only, excluded.trading);
