-- When fills of these users were committed, to measure how long they took to be seen. $1 user ids, $2 trades above this id
select t.id, whale_ns(t.settled_at)
from unnest($1::bigint[]) as wanted (id)
join trades t on t.user_id = wanted.id and t.id > $2::bigint
where t.filled_quantity > 0 and t.settled_at is not null
