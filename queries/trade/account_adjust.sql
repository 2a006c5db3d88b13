-- Books the difference between the venue's wallet and ours against EXTERNAL: the first time a deposit, later what the
-- venue changed without us. Not while a trade of the account is under way, or ended since the wallet was read, or was
-- given up as unclear lately: its fill may be in the one figure and not yet in the other.
-- $1 user, $2 account, $3 asset, $4 the venue's wallet, $5 when it was asked for.
with ours as (
  select coalesce(sum(balance) filter (where kind in ('AVAILABLE', 'HELD', 'POSITION')), 0) as wallet, count(*) = 0 as first_time
  from ledger_accounts where user_id = $1::bigint and account_id = $2::bigint and asset = $3::text
)
insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, reason)
select $1::bigint, $2::bigint, $3::text,
       case when $4::numeric > wallet then 'EXTERNAL' else 'AVAILABLE' end::ledger_kind,
       case when $4::numeric > wallet then 'AVAILABLE' else 'EXTERNAL' end::ledger_kind,
       abs($4::numeric - wallet),
       case when first_time then 'DEPOSIT' else 'VENUE_ADJUSTMENT' end::ledger_reason
from ours
where $4::numeric <> wallet
  and not exists (
    select from trades t where t.user_id = $1::bigint and t.account_id = $2::bigint
    and (t.unfinished or t.settled_at >= $5::timestamptz - interval '1 s'
         or (t.reason = 'unclear_not_found' and t.settled_at > now() - interval '15 min')));
