-- The ranking page. $1 how many
select id, venue, market, leader_id, name, rank::text, score, status::text, win_rate, pnl_7d, roi_7d, pnl_30d, roi_30d, trades_seen,
       copier_pnl, equity, followers, leader_followers, sample_size, whale_ns(stats_at), polling_priority
from whales order by score desc, id limit $1::bigint
