-- Deliveries of one update come one after the other. $1 update id
select pg_advisory_xact_lock(hashtextextended('update ' || $1::text, 0))
