-- Arrays: $1 user, $2 account, $3 asset, $4 from, $5 to, $6 amount, $7 reason, $8 trade
insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, reason, trade_id)
select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::ledger_kind[], $5::ledger_kind[], $6::numeric[], $7::ledger_reason[],
  $8::bigint[])
