-- Takes signals to fan out, oldest first, one at a time of a whale's instrument: a flip's opening waits for its closing.
-- $1 owner, $2 lease in microseconds, $3 how many
update signals s
set state = 'PROCESSING', claims = s.claims + 1, owner = $1::text, lease_until = clock_timestamp() + $2::bigint * interval '1 microsecond'
from (select c.id from signals c
      where c.state in ('PENDING', 'PROCESSING')
        and (c.state = 'PENDING' or c.lease_until < clock_timestamp())
        and not exists (select from signals e where e.whale_id = c.whale_id and e.native = c.native and e.id < c.id
                          and e.state in ('PENDING', 'PROCESSING'))
      order by c.id limit $3::int for update of c skip locked) q
where s.id = q.id
returning s.id, s.whale_id, s.instrument_id, s.kind::text, s.side::text, s.closes, s.fraction, s.leverage, s.price,
  s.fanned_out_to, whale_ns(s.detected_at), s.claims > 1
