-- Stops following. Open copies stay, and are closed when the whale closes. No row: it is not followed. $1 whale
update follows f set active = false, stopped_at = now()
where f.user_id = whale_user() and f.whale_id = $1::bigint and f.active
returning f.whale_id, f.active, f.stopped_at
