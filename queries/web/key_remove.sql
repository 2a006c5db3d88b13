-- Disconnects an account of which nothing is open. $1 id
update venue_accounts a set removed_at = now()
where a.user_id = whale_user() and a.id = $1::bigint and a.removed_at is null
  and not exists (select from positions p where p.user_id = whale_user() and p.account_id = $1::bigint and p.state = 'OPEN')
  and not exists (select from trades t where t.user_id = whale_user() and t.account_id = $1::bigint and t.unfinished)
returning a.id, a.removed_at
