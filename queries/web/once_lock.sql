-- Two requests of one user with one Idempotency-Key come one after the other: the second finds what the first kept.
-- $1 key
select pg_advisory_xact_lock(hashtextextended('once ' || whale_user() || ' ' || $1::text, 0))
