-- Copies that their whale has left and that nobody is closing: a close failed, or its entry surfaced after the whale was gone.
-- A close is made for each, as its signal would have made it, at most once a minute. $1 client order ids, one for each close
with whole as (
  select w.whale_id, w.instrument_id, bool_or(w.quantity > 0) as is_long, bool_or(w.quantity < 0) as is_short
  from whale_positions w where w.instrument_id is not null
  group by 1, 2 having max(w.updated_at) < now() - interval '10 s'
), left_behind as (
  select p.user_id, p.id, p.account_id, p.instrument_id, p.whale_id, p.follow_id, p.quantity, p.leverage
  from whole w
  join positions p on p.whale_id = w.whale_id and p.instrument_id = w.instrument_id and p.state = 'OPEN'
    and case when p.quantity > 0 then not w.is_long else not w.is_short end
  join users u on u.id = p.user_id
  join venue_accounts a on a.user_id = p.user_id and a.id = p.account_id and a.state = 'ACTIVE'
  left join user_settings s on s.user_id = p.user_id
  where coalesce(s.close_on_whale_exit, true)
    and not exists (select from signals g where g.whale_id = w.whale_id and g.state in ('PENDING', 'PROCESSING'))
    and not exists (select from trades t where t.user_id = p.user_id and t.account_id = p.account_id and t.instrument_id = p.instrument_id
      and (t.unfinished or t.settled_at > now() - interval '60 s'))
  order by p.user_id limit cardinality($1::text[])
  for no key update of u skip locked
), numbered as (
  select *, row_number() over (order by user_id, id) as n from left_behind
)
insert into trades (user_id, whale_id, follow_id, account_id, instrument_id, position_id, side, reduce_only, close_reason, leverage,
  quantity, client_order_id)
select user_id, whale_id, follow_id, account_id, instrument_id, id, case when quantity > 0 then 'SELL' else 'BUY' end::order_side, true,
  'WHALE_EXIT', leverage, abs(quantity), ($1::text[])[n]
from numbered
on conflict do nothing
returning user_id, id
