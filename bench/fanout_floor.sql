-- The SQL floor of a fan-out: the same rows as a copied signal writes, in batches of 1,000, with the same tables, indexes
-- and triggers, but no decision, no request, no round trip. Run with -v n=<followers>; prints the seconds it took.
-- It works on users and an instrument of its own, which no running engine claims or recovers, and takes all of them away
-- again.
\set ON_ERROR_STOP on
select set_config('floor.n', :'n', false), pg_advisory_lock(hashtextextended('floor', 0)) \g /dev/null
insert into instruments (name, venue, market, native, underlying, base_asset, quote_asset, settle_asset, price_tick, quantity_step,
  quantity_min, quantity_max, market_quantity_step, market_quantity_min, market_quantity_max, trading)
values ('floor:usdm:BTCUSDT', 'floor', 'usdm', 'BTCUSDT', 'BTC', 'BTC', 'USDT', 'USDT', 0.1, 0.001, 0.001, 1000, 0.001, 0.001, 120, false)
on conflict do nothing;
insert into users (telegram_id, username, tier) select 600000000 + i, 'floor' || i, 'ELITE' from generate_series(1, current_setting('floor.n')::int) i;
insert into venue_accounts (user_id, ref, venue, state, can_futures, label, check_after)
select id, gen_random_uuid(), 'binance', 'ACTIVE', true, 'floor', 'infinity' from users where username like 'floor%';
insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, reason)
select user_id, id, 'USDT', 'EXTERNAL', 'AVAILABLE', 10000, 'DEPOSIT' from venue_accounts where label = 'floor';
create temporary table cohort as
  select user_id, id as account_id, row_number() over (order by user_id) as n from venue_accounts where label = 'floor';
create unique index on cohort (n);
analyze cohort;
do $$
declare
  began timestamptz := clock_timestamp();
  total int := current_setting('floor.n')::int;
  low int; instrument bigint; whale bigint;
begin
  select id into instrument from instruments where name = 'floor:usdm:BTCUSDT';
  select id into whale from whales order by id limit 1;
  for low in select generate_series(1, total, 1000) loop
    insert into trades (user_id, whale_id, account_id, instrument_id, side, state, size, leverage, price, quantity, hold, client_order_id)
    select user_id, whale, account_id, instrument, 'BUY', 'PENDING', 50, 5, 60000, 0.004, 52, 'w' || translate(left(encode(sha256(n::text::bytea), 'hex'), 26), '0189', 'wxyz')
    from cohort where n between low and low + 999;
    insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, reason)
    select user_id, account_id, 'USDT', 'AVAILABLE', 'HELD', 52, 'RESERVE' from cohort where n between low and low + 999;
    commit;
  end loop;
  for low in select generate_series(1, total, 1000) loop
    update trades t set state = 'EXECUTING', owner = 'floor', lease_until = now() + interval '8 s', requested_at = now()
    from cohort c where c.user_id = t.user_id and t.unfinished and c.n between low and low + 999;
    commit;
  end loop;
  for low in select generate_series(1, total, 1000) loop
    update trades t set state = 'FILLED', unfinished = false, filled_quantity = quantity, average_price = 60000, fee = 0.12, settled_at = now()
    from cohort c where c.user_id = t.user_id and t.unfinished and c.n between low and low + 999;
    insert into fills (user_id, account_id, venue_trade_id, instrument_id, trade_id, side, price, quantity, quote_quantity, fee, fee_asset, realised_pnl, maker, filled_at)
    select t.user_id, t.account_id, 'floor' || t.id, t.instrument_id, t.id, 'BUY', 60000, 0.004, 240, 0.12, 'USDT', 0, false, now()
    from trades t join cohort c on c.user_id = t.user_id where c.n between low and low + 999;
    insert into positions (user_id, account_id, instrument_id, whale_id, quantity, entry_notional, margin, leverage)
    select user_id, account_id, instrument, whale, 0.004, 240, 48, 5 from cohort where n between low and low + 999;
    insert into ledger_entries (user_id, account_id, asset, from_kind, to_kind, amount, reason)
    select user_id, account_id, 'USDT', f::ledger_kind, k::ledger_kind, a, r::ledger_reason from cohort,
      (values ('HELD', 'POSITION', 48, 'MARGIN'), ('HELD', 'AVAILABLE', 4, 'RELEASE'), ('AVAILABLE', 'FEE', 0.12, 'TRADING_FEE')) v(f, k, a, r)
    where n between low and low + 999;
    insert into notifications (user_id, kind, subject_id, state) select user_id, 'fill', n, 'SENT' from cohort where n between low and low + 999;
    commit;
  end loop;
  perform set_config('floor.seconds', extract(epoch from clock_timestamp() - began)::text, false);
end $$;
select 'floor ' || current_setting('floor.seconds');
alter table ledger_entries disable trigger ledger_entries_append_only;
alter table ledger_balances disable trigger balances_changed_u;
delete from notifications n using cohort c where n.user_id = c.user_id;
delete from fills n using cohort c where n.user_id = c.user_id;
delete from trades n using cohort c where n.user_id = c.user_id;
delete from positions n using cohort c where n.user_id = c.user_id;
delete from ledger_entries n using cohort c where n.user_id = c.user_id;
delete from ledger_balances n using cohort c where n.user_id = c.user_id;
delete from venue_accounts n using cohort c where n.user_id = c.user_id;
delete from user_settings n using cohort c where n.user_id = c.user_id;
delete from users n using cohort c where n.id = c.user_id;
delete from instruments where venue = 'floor';
alter table ledger_entries enable trigger ledger_entries_append_only;
alter table ledger_balances enable trigger balances_changed_u;
