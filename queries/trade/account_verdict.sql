-- What a look at an account found. $1 user, $2 account, $3 new state, $4 reason, $5 may trade spot, $6 may trade futures,
-- $7 position mode, $8 wallet, $9 seconds to the next look.
with found as (
  update venue_accounts
  set state = $3::account_state, reason = $4::text, can_spot = $5::boolean, can_futures = $6::boolean,
      position_mode = $7::text, wallet_seen = $8::numeric, wallet_seen_at = now(), checked_at = now(),
      check_after = now() + make_interval(secs => $9::double precision)
  where user_id = $1::bigint and id = $2::bigint and removed_at is null and state in ('NEW', 'ACTIVE')
  returning user_id, id, state
)
insert into notifications (user_id, kind, subject_id)
select user_id, 'account', id from found
where not exists (select from notifications n where n.user_id = found.user_id and n.kind = 'account' and n.subject_id = found.id)
on conflict do nothing;
