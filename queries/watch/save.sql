-- A good read that changed something: positions and signals, or nothing at all where somebody else wrote meanwhile.
-- $1 to $5 as in seen.sql; $6 ... $11 positions; $12 ... $24 signals, in the order in which they are to be copied.
-- Returns how many whales (0 or 1) and signals were written.
with whale as (
  update whales
  set positions_version = positions_version + 1,
      last_good_at = now(), baseline_at = case when $4::boolean then now() else baseline_at end, unknown_reads = 0, status = 'ACTIVE',
      owner = null, lease_until = null,
      next_read_at = greatest(next_read_at + $5::bigint * interval '1 microsecond', now() + ($5::bigint / 2) * interval '1 microsecond')
  where id = $1::bigint and owner = $2::text and positions_version = $3::bigint
  returning id, venue, market
), moved as (
  insert into whale_positions as p (whale_id, native, position_side, instrument_id, quantity, entry_price, leverage, margin_mode)
  select w.id, c.native, c.position_side::position_side, i.id, c.quantity, c.entry_price, c.leverage, c.margin_mode::margin_mode
  from whale w
  cross join unnest($6::text[], $7::text[], $8::numeric[], $9::numeric[], $10::int[], $11::text[])
    as c (native, position_side, quantity, entry_price, leverage, margin_mode)
  left join instruments i on i.venue = w.venue and i.market = w.market and i.native = c.native
  on conflict (whale_id, native, position_side) do update
  set instrument_id = excluded.instrument_id, quantity = excluded.quantity, entry_price = excluded.entry_price,
      leverage = excluded.leverage, margin_mode = excluded.margin_mode, updated_at = now(),
      version = p.version + (p.quantity <> excluded.quantity)::int
  returning native, position_side, instrument_id, version
), told as (
  insert into signals (whale_id, instrument_id, native, position_side, whale_version, kind, side, closes, quantity_before,
                       quantity_after, fraction, leverage, price, notional, confidence, confidence_score)
  select w.id, m.instrument_id, m.native, m.position_side, m.version, s.kind::signal_kind, s.side::order_side, s.closes,
         s.before, s.after, s.fraction, s.leverage, s.price,
         case when i.inverse then abs(s.after - s.before) * i.contract_size else s.notional * coalesce(i.contract_size, 1) end,
         s.confidence::confidence, s.score
  from whale w
  cross join unnest($12::text[], $13::text[], $14::text[], $15::text[], $16::boolean[], $17::numeric[], $18::numeric[],
                    $19::numeric[], $20::int[], $21::numeric[], $22::numeric[], $23::text[], $24::numeric[])
    with ordinality as s (native, position_side, kind, side, closes, before, after, fraction, leverage, price, notional,
                          confidence, score, place)
  join moved m on m.native = s.native and m.position_side = s.position_side::position_side
  left join instruments i on i.id = m.instrument_id
  order by s.place
  returning id
)
select (select count(*) from whale), (select count(*) from told)
