-- Reserves a chunk of decisions, after lock_users.sql in the same transaction. C decided; what it decided on is checked
-- again here, under the lock: a decision whose facts have changed comes back as decision_stale and leaves no row. The
-- others become rows: SKIPPED with C's reason, PENDING, or, where nothing else of its lane is unfinished, EXECUTING at
-- once under the caller's lease (one transaction less before the order is on the wire).
-- $1 signal, $2 whale, $3 side, $4 reduce_only, $5 close reason, $6 settle asset, $7 owner, $8 lease in microseconds,
-- $9 detected at, $10 fanned out to, $11 requested at; arrays: $12 user, $13 follow, $14 user version, $15 follow version,
-- $16 account, $17 instrument, $18 position, $19 its version, $20 most open positions, $21 reason, $22 size, $23 leverage,
-- $24 price, $25 quantity, $26 hold, $27 client order id, $28 start after, $29 claim at once
with wanted as (
  select * from unnest($12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[],
      $19::bigint[], $20::bigint[], $21::text[], $22::numeric[], $23::int[], $24::numeric[], $25::numeric[], $26::numeric[],
      $27::text[], $28::timestamptz[], $29::boolean[])
    as w(user_id, follow_id, user_version, follow_version, account_id, instrument_id, position_id, position_version,
      positions_max, reason, size, leverage, price, quantity, hold, client_order_id, start_after, claim)
), judged as materialized (
  select w.*, w.reason is null and t.in_lane = 0 as lane_free, coalesce(w.reason, case
      when (select u.version from users u where u.id = w.user_id) is distinct from w.user_version
        or w.follow_id is not null
          and (select f.version from follows f where f.user_id = w.user_id and f.id = w.follow_id) is distinct from w.follow_version
        or w.hold > 0 and coalesce((select b.available from ledger_balances b
          where b.user_id = w.user_id and b.account_id = w.account_id and b.asset = $6::text), 0) < w.hold
        or w.positions_max is not null and p.open_positions + t.first_entries >= w.positions_max
        or t.in_lane = 0 and case when w.position_id is not null then p.unchanged = 0 else $4::boolean or p.against > 0 end
      then 'decision_stale' end) as verdict
  from wanted w
  left join lateral (
    select count(*) as open_positions, count(*) filter (where p.id = w.position_id and p.version = w.position_version) as unchanged,
      count(*) filter (where p.account_id = w.account_id and p.instrument_id = w.instrument_id
        and (p.whale_id = $2::bigint or (p.quantity > 0) <> ($3::text = 'BUY'))) as against
    from positions p where p.user_id = w.user_id and p.state = 'OPEN') p on true
  left join lateral (
    select count(*) filter (where not t.reduce_only and t.position_id is null) as first_entries,
      count(*) filter (where t.account_id = w.account_id and t.instrument_id = w.instrument_id) as in_lane
    from trades t where t.user_id = w.user_id and t.unfinished) t on true
), made as (
  insert into trades (user_id, signal_id, whale_id, follow_id, account_id, instrument_id, position_id, side, reduce_only,
    close_reason, state, unfinished, reason, size, leverage, price, quantity, hold, client_order_id, owner, lease_until,
    requested_at, ask_after, detected_at)
  select user_id, $1::bigint, $2::bigint, follow_id, account_id, instrument_id, case when lane_free then position_id end,
    $3::order_side, $4::boolean, $5::close_reason,
    case when verdict is not null then 'SKIPPED' when claim and lane_free then 'EXECUTING' else 'PENDING' end::trade_state,
    verdict is null, verdict, size, leverage, price, quantity, hold, client_order_id,
    case when verdict is null and claim and lane_free then $7::text end,
    case when verdict is null and claim and lane_free then clock_timestamp() + $8::bigint * interval '1 microsecond' end,
    case when verdict is null and claim and lane_free then $11::timestamptz end,
    start_after, $9::timestamptz
  from judged where verdict is distinct from 'decision_stale'
  on conflict (user_id, signal_id) where signal_id is not null do nothing
  returning user_id, id, account_id, state, hold
), held as (
  insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, reason, trade_id)
  select user_id, account_id, $6::text, 'AVAILABLE', 'HELD', hold, 'RESERVE', id from made where hold > 0
), advanced as (
  update signals s
  set fanned_out_to = greatest(s.fanned_out_to, least($10::bigint, (select min(user_id) - 1 from judged where verdict = 'decision_stale'))),
    lease_until = clock_timestamp() + $8::bigint * interval '1 microsecond'
  where s.id = $1::bigint and s.owner = $7::text and s.state = 'PROCESSING' returning s.id
)
select user_id, id, state::text from made
union all
select user_id, null, 'STALE' from judged where verdict = 'decision_stale'
union all
select 0, require_count((select count(*) from advanced), 1), 'ADVANCED'
