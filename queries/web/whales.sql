-- Whales, best first by the order asked for; unknown figures come last.
-- $1 key and $2 id of the last one seen, $3 order, $4 venue, $5 rank, $6 status, $7 least score, $8 least ROI of 30 days,
-- $9 least win rate, $10 only those that the user follows, $11 limit
select w.id, w.venue, w.market, w.leader_id, w.name, w.rank, w.score, w.status, w.win_rate, w.pnl_7d, w.roi_7d, w.pnl_30d,
       w.roi_30d, w.trades_seen as trades, w.followers, w.leader_followers, w.copier_pnl, w.equity, w.sample_size, w.stats_at,
       w.last_good_at as positions_at, f.id is not null as followed, k.key as _key
from whales w
left join follows f on f.user_id = whale_user() and f.whale_id = w.id and f.active
cross join lateral (select coalesce(case $3::text
         when 'roi_7d' then w.roi_7d when 'roi_30d' then w.roi_30d when 'pnl_7d' then w.pnl_7d when 'pnl_30d' then w.pnl_30d
         when 'win_rate' then w.win_rate when 'followers' then w.followers else w.score end, -1000000000000000)::numeric as key) k
where ($2::bigint is null or k.key < $1::numeric or (k.key = $1::numeric and w.id > $2::bigint))
  and ($4::text is null or w.venue = $4::text)
  and ($5::text is null or w.rank = $5::whale_rank)
  and ($6::text is null or w.status = $6::data_status)
  and ($7::numeric is null or w.score >= $7::numeric)
  and ($8::numeric is null or w.roi_30d >= $8::numeric)
  and ($9::numeric is null or w.win_rate >= $9::numeric)
  and ($10::boolean is not true or f.id is not null)
order by k.key desc, w.id
limit $11::integer
