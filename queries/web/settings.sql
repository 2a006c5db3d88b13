-- The user's settings.
select s.mode, s.preferred_venue, s.auto_copy, s.auto_copy_delay_s, s.default_size, s.maximum_size, s.stop_loss_percent,
       s.take_profit_percent, s.daily_loss_limit, s.maximum_positions, s.default_leverage, s.maximum_leverage,
       s.close_at_take_profit, s.close_on_whale_exit
from user_settings s
where s.user_id = whale_user()
