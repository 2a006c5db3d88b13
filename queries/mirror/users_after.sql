-- A page of ids for the load at start. $1 the last id before it, $2 how many
select id from users where id > $1::bigint order by id limit $2::bigint
