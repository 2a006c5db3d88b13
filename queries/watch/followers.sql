-- How many follow each whale here, for lists. A whale that is being written just now waits for the next time.
update whales w set followers = counted.n
from (select x.id, f.n
      from whales x cross join lateral (select count(*)::int as n from follows where whale_id = x.id and active) f
      where x.followers <> f.n order by x.id for update of x skip locked) counted
where w.id = counted.id
