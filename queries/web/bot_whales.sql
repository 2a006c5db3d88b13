-- The best whales, for the bot. $1 how many
select w.id, left(w.name, 60) as name, w.venue, w.rank, w.score, w.roi_30d
from whales w
order by w.score desc, w.id
limit $1::integer
