-- Third statement of a request of a user: the user stays set only if the session was not revoked and the account may do
-- this. Where not, row-level security shows and takes nothing more in this transaction, whatever follows in it.
-- $1 the session's epoch (null: signed in by Telegram), $2 whether this is a write
select id, tier, state, session_epoch as epoch, telegram_id,
       ($1::bigint is null or session_epoch = $1::bigint) as current,
       set_config('whale.user_id',
                  case when ($1::bigint is null or session_epoch = $1::bigint)
                        and (state = 'ACTIVE' or (state = 'SUSPENDED' and not $2::boolean))
                       then id::text else '' end, true) <> '' as admitted
from users where id = whale_user()
