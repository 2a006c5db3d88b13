-- $1 how many
select id from signals order by id desc limit $1::bigint
