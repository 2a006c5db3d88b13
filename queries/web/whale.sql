-- One whale. $1 id
select w.id, w.venue, w.market, w.leader_id, w.name, w.rank, w.score, w.status, w.win_rate, w.pnl_7d, w.roi_7d, w.pnl_30d,
       w.roi_30d, w.trades_seen as trades, w.followers, w.leader_followers, w.copier_pnl, w.equity, w.sample_size, w.stats_at,
       w.last_good_at as positions_at
from whales w
where w.id = $1::bigint
