-- Takes whales that are due under a lease, those with followers first, with their positions of the last good read: a row
-- a position, or one without. $1 $2 venues and markets that are read here, $3 owner, $4 lease in microseconds, $5 how many
with due as (
  select w.id
  from whales w join unnest($1::text[], $2::text[]) as here (venue, market) on here.venue = w.venue and here.market = w.market
  where w.next_read_at <= now() and (w.lease_until is null or w.lease_until < now())
  order by exists (select from follows f where f.whale_id = w.id and f.active) desc, w.polling_priority desc, w.next_read_at
  limit $5::bigint
  for update of w skip locked
), taken as (
  update whales w set owner = $3::text, lease_until = now() + $4::bigint * interval '1 microsecond'
  from due where w.id = due.id
  returning w.*
)
select t.id, t.venue, t.market, t.leader_id, t.score, t.positions_version, t.baseline_at is not null,
       coalesce(whale_ns(t.last_good_at), 0), t.unknown_reads, whale_ns(now()),
       p.native, p.position_side::text, p.quantity, p.entry_price, p.leverage
from taken t left join whale_positions p on p.whale_id = t.id and p.quantity <> 0
order by t.id, p.native, p.position_side
