-- The user's connected accounts, without what is secret in them.
select a.id, a.venue, a.market, a.label, a.key_hint, a.testnet, a.state, a.reason, a.can_spot, a.can_futures, a.position_mode,
       a.wallet_seen as balance, a.wallet_seen_at as balance_at, a.checked_at, a.created_at
from venue_accounts a
where a.user_id = whale_user() and a.removed_at is null
order by a.id
limit 100
