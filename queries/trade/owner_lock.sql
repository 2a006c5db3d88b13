-- Held for the life of the connection. $1 owner
select pg_try_advisory_lock(hashtextextended($1::text, 0))
