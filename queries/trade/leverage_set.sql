-- What the venue has confirmed. Arrays: $1 user, $2 account, $3 instrument, $4 leverage
insert into account_instruments (user_id, account_id, instrument_id, leverage)
select distinct on (user_id, account_id, instrument_id) * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[])
  as c(user_id, account_id, instrument_id, leverage)
on conflict (user_id, account_id, instrument_id) do update set leverage = excluded.leverage
