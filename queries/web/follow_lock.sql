-- One user's follows are counted and changed by one transaction at a time, or the plan's limit could be passed.
select pg_advisory_xact_lock(hashtextextended('follow ' || whale_user(), 0))
