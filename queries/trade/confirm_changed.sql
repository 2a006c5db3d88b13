-- Positions that grew, shrank or closed, each still at the version that the values were computed from (in a CASE: see
-- confirm_trades.sql).
-- Arrays: $1 user, $2 position, $3 version, $4 quantity, $5 entry notional, $6 margin, $7 realised, $8 fees, $9 close reason
with changed as (
  update positions p
  set quantity = c.quantity, entry_notional = c.entry_notional, margin = c.margin, realised_pnl = c.realised_pnl, fees = c.fees,
    version = p.version + 1, state = case when c.quantity = 0 then 'CLOSED' else 'OPEN' end::position_state,
    close_reason = case when c.quantity = 0 then c.close_reason end,
    closed_at = case when c.quantity = 0 then clock_timestamp() end
  from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[],
      $9::close_reason[])
    as c(user_id, id, version, quantity, entry_notional, margin, realised_pnl, fees, close_reason)
  where p.user_id = c.user_id and p.id = c.id and case when p.state = 'OPEN' then p.version = c.version end
  returning 1
)
select require_count(count(*), cardinality($2::bigint[])) from changed
