-- A page of a venue's ranking: who is new becomes a whale, who is known gets new figures. $1 venue, $2 market, $3 priority,
-- $4 leader ids, $5 names, $6 scores, $7 ranks, $8 roi, $9 pnl, $10 copiers' pnl, $11 win rates, $12 equity, $13 followers
insert into whales as w (venue, market, polling_priority, leader_id, name, score, rank, roi_30d, pnl_30d, copier_pnl, win_rate,
                         equity, leader_followers, sample_size, stats_at)
select $1::text, $2::text, $3::int, l.leader_id, l.name, l.score, l.rank::whale_rank, l.roi, l.pnl, l.copier_pnl, l.win_rate,
       l.equity, l.followers, 1, now()
from unnest($4::text[], $5::text[], $6::numeric[], $7::text[], $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[],
            $12::numeric[], $13::int[])
  as l (leader_id, name, score, rank, roi, pnl, copier_pnl, win_rate, equity, followers)
order by l.leader_id
on conflict (venue, market, leader_id) do update
set name = excluded.name, score = excluded.score, rank = excluded.rank, roi_30d = excluded.roi_30d, pnl_30d = excluded.pnl_30d,
    copier_pnl = excluded.copier_pnl, win_rate = excluded.win_rate, equity = coalesce(excluded.equity, w.equity),
    leader_followers = excluded.leader_followers, sample_size = w.sample_size + 1, stats_at = now()
