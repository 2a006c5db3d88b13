-- What nginx sealed is now encrypted by the signer; the sealed form goes. $1 user, $2 account, $3 secret, $4 key id.
update venue_accounts set secret = $3::text, key_id = $4::integer, sealed = null
where user_id = $1::bigint and id = $2::bigint and sealed is not null;
