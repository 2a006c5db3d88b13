-- After a lost connection: what our transaction with this request time claimed, if it committed. Nothing was sent, because
-- sending waits for the commit.
-- $1 owner, $2 requested at
update trades t
set state = 'PENDING', owner = null, lease_until = null, requested_at = null
where t.unfinished and t.state = 'EXECUTING' and t.owner = $1::text and t.requested_at = $2::timestamptz and t.sent_at is null
