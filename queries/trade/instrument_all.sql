-- Every instrument with its filters, for the table in memory.
select id, name, venue, market, native, underlying, base_asset, quote_asset, settle_asset, multiplier, contract_size,
       inverse, quantity_unit, price_tick, quantity_step, quantity_min, quantity_max, market_quantity_step,
       market_quantity_min, market_quantity_max, notional_min, notional_min_waived_reduce_only, leverage_max, trading
from instruments order by id;
