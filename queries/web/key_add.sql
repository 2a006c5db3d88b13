-- Connects an account: what is secret is sealed to the signer. No row: there is one of this venue and market already.
-- $1 ref, $2 venue, $3 market, $4 label, $5 hint, $6 testnet, $7 sealed
insert into venue_accounts as a (user_id, ref, venue, market, label, key_hint, testnet, sealed)
values (whale_user(), $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::boolean, $7::bytea)
on conflict (user_id, venue, market) where removed_at is null do nothing
returning a.id, a.venue, a.market, a.label, a.key_hint, a.testnet, a.state, a.created_at
