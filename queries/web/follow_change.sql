-- Changes how a whale is followed: a value is taken where it was given, even as null. No row: it is not followed.
-- $1 whale, then pairs of given and value: $2 $3 auto copy, $4 $5 size kind, $6 size (given with its kind), $7 $8 leverage,
-- $9 $10 copy leverage, $11 $12 stop loss, $13 $14 take profit
update follows f
set auto_copy = case when $2::boolean then $3::boolean else f.auto_copy end,
    size_kind = case when $4::boolean then upper($5::text)::size_kind else f.size_kind end,
    size_value = case when $4::boolean then $6::numeric else f.size_value end,
    leverage = case when $7::boolean then $8::integer else f.leverage end,
    copy_leverage = case when $9::boolean then $10::boolean else f.copy_leverage end,
    stop_loss_percent = case when $11::boolean then $12::numeric else f.stop_loss_percent end,
    take_profit_percent = case when $13::boolean then $14::numeric else f.take_profit_percent end
where f.user_id = whale_user() and f.whale_id = $1::bigint and f.active
returning f.whale_id, f.auto_copy, lower(f.size_kind::text) as size_kind, f.size_value, f.leverage, f.copy_leverage,
          f.stop_loss_percent, f.take_profit_percent, f.active, f.created_at
