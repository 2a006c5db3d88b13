-- First entries: positions. Arrays: $1 user, $2 account, $3 instrument, $4 whale, $5 follow, $6 quantity, $7 entry notional,
-- $8 margin, $9 leverage, $10 realised, $11 fees
insert into positions (user_id, account_id, instrument_id, whale_id, follow_id, quantity, entry_notional, margin, leverage,
  realised_pnl, fees)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::numeric[], $7::numeric[],
  $8::numeric[], $9::int[], $10::numeric[], $11::numeric[])
