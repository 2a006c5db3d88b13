-- The venue told nothing this time. $1 user, $2 account, $3 seconds.
update venue_accounts set check_after = now() + make_interval(secs => $3::double precision)
where user_id = $1::bigint and id = $2::bigint;
