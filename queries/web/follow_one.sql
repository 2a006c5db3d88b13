-- How the user follows a whale. $1 whale
select f.whale_id, f.auto_copy, lower(f.size_kind::text) as size_kind, f.size_value, f.leverage, f.copy_leverage,
       f.stop_loss_percent, f.take_profit_percent, f.active, f.created_at
from follows f
where f.user_id = whale_user() and f.whale_id = $1::bigint and f.active
