-- Whether there is such a whale. $1 whale
select exists (select from whales where id = $1::bigint) as known,
       coalesce((select name from whales where id = $1::bigint), '') as name
