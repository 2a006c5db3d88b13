-- Why a key cannot be removed: it is not there, or something of it is still open. $1 id
select exists (select from venue_accounts a
               where a.user_id = whale_user() and a.id = $1::bigint and a.removed_at is null) as known,
       exists (select from positions p where p.user_id = whale_user() and p.account_id = $1::bigint and p.state = 'OPEN')
       or exists (select from trades t where t.user_id = whale_user() and t.account_id = $1::bigint and t.unfinished) as busy
