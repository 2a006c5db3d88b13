-- Before leverage is changed at the venue: until it has answered, what is set there is not known.
-- Arrays: $1 user, $2 account, $3 instrument
delete from account_instruments i using unnest($1::bigint[], $2::bigint[], $3::bigint[]) as c(user_id, account_id, instrument_id)
where i.user_id = c.user_id and i.account_id = c.account_id and i.instrument_id = c.instrument_id
