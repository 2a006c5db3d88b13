-- A call was refused for the account's sake: it is looked at now, unless it was a moment ago. $1 user, $2 account.
update venue_accounts set check_after = now()
where user_id = $1::bigint and id = $2::bigint and removed_at is null and state = 'ACTIVE' and check_after > now()
  and (checked_at is null or checked_at < now() - interval '10 s');
