-- A fill that is booked already refuses the batch. Arrays: $1 user, $2 account, $3 the venue's trade id, $4 instrument,
-- $5 trade, $6 side, $7 price, $8 quantity, $9 quote quantity, $10 fee, $11 its asset, $12 realised, $13 maker, $14 at
insert into fills (user_id, account_id, venue_trade_id, instrument_id, trade_id, side, price, quantity, quote_quantity, fee,
  fee_asset, realised_pnl, maker, filled_at)
select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::order_side[], $7::numeric[], $8::numeric[],
  $9::numeric[], $10::numeric[], $11::text[], $12::numeric[], $13::boolean[], $14::timestamptz[])
