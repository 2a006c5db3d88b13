-- Answers that were unclear, and accepted orders whose fills are not all there: to be asked about.
-- $1 owner; arrays: $2 user, $3 trade, $4 requested at, $5 sent at, $6 accepted at, $7 ask after, $8 asks, $9 venue code,
-- $10 venue message, $11 the venue's order id
update trades t
set state = 'UNKNOWN', owner = null, lease_until = null, sent_at = coalesce(c.sent_at, t.sent_at), accepted_at = coalesce(c.accepted_at, t.accepted_at),
  ask_after = c.ask_after, asks = c.asks, venue_code = c.venue_code, venue_message = c.venue_message,
  venue_order_id = coalesce(c.venue_order_id, t.venue_order_id)
from unnest($2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::int[], $9::int[],
    $10::text[], $11::text[])
  as c(user_id, id, requested_at, sent_at, accepted_at, ask_after, asks, venue_code, venue_message, venue_order_id)
where t.user_id = c.user_id and t.id = c.id
  and case when t.state in ('EXECUTING', 'UNKNOWN') and t.owner = $1::text then t.requested_at = c.requested_at end
