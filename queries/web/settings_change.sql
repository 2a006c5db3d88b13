-- Changes settings: a value is taken where it was given, even as null. Pairs of given and value, in the order of the list.
update user_settings s
set mode = case when $1::boolean then $2::text else s.mode end,
    preferred_venue = case when $3::boolean then $4::text else s.preferred_venue end,
    auto_copy = case when $5::boolean then $6::boolean else s.auto_copy end,
    auto_copy_delay_s = case when $7::boolean then $8::integer else s.auto_copy_delay_s end,
    default_size = case when $9::boolean then $10::numeric else s.default_size end,
    maximum_size = case when $11::boolean then $12::numeric else s.maximum_size end,
    stop_loss_percent = case when $13::boolean then $14::numeric else s.stop_loss_percent end,
    take_profit_percent = case when $15::boolean then $16::numeric else s.take_profit_percent end,
    daily_loss_limit = case when $17::boolean then $18::numeric else s.daily_loss_limit end,
    maximum_positions = case when $19::boolean then $20::integer else s.maximum_positions end,
    default_leverage = case when $21::boolean then $22::integer else s.default_leverage end,
    maximum_leverage = case when $23::boolean then $24::integer else s.maximum_leverage end,
    close_at_take_profit = case when $25::boolean then $26::boolean else s.close_at_take_profit end,
    close_on_whale_exit = case when $27::boolean then $28::boolean else s.close_on_whale_exit end
where s.user_id = whale_user()
returning s.mode, s.preferred_venue, s.auto_copy, s.auto_copy_delay_s, s.default_size, s.maximum_size, s.stop_loss_percent,
       s.take_profit_percent, s.daily_loss_limit, s.maximum_positions, s.default_leverage, s.maximum_leverage,
       s.close_at_take_profit, s.close_on_whale_exit
