-- Users with open positions in these instruments, a page. $1 instrument ids, $2 users above this id, $3 how many
select distinct user_id from positions
where state = 'OPEN' and instrument_id = any ($1::bigint[]) and user_id > $2::bigint
order by user_id limit $3::bigint
