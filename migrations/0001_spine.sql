-- The spine of the data (ARCHITECTURE, "Data"): who trades, whom they follow, what was signalled, what was copied,
-- and where each cent is. Money is numeric(38,12); times are timestamptz; states are enums whose transitions the
-- database checks. Tables that grow with users have (user_id, id) keys, so that hash partitions can split them.

-- Roles ------------------------------------------------------------------------------------------------------
-- whale_worker: the daemon. whale_web: nginx, under row-level security, blind to secret columns.
do $$
begin
  if not exists (select from pg_roles where rolname = 'whale_worker') then create role whale_worker login; end if;
  if not exists (select from pg_roles where rolname = 'whale_web') then create role whale_web login; end if;
end $$;

-- Helpers ----------------------------------------------------------------------------------------------------
create function whale_ns(t timestamptz) returns bigint language sql immutable strict parallel safe
  return (extract(epoch from t) * 1000000)::bigint * 1000;

-- The signed-in user of a web transaction; null where none is set.
create function whale_user() returns bigint language sql stable
  return nullif(current_setting('whale.user_id', true), '')::bigint;

create function refuse_transition() returns trigger language plpgsql as $$
begin
  raise exception 'illegal transition of %: % to %', tg_table_name, old.state, new.state using errcode = 'check_violation';
end $$;

create domain money_amount as numeric(38, 12);

-- Refuses the statement it stands in where a batch did not find all of its rows.
create function require_count(there bigint, wanted bigint) returns bigint language plpgsql as $$
begin
  if there is distinct from wanted then
    raise exception 'found % rows of %', there, wanted using errcode = 'WH001';
  end if;
  return there;
end $$;

-- When the day of someone in this time zone began; a zone that Postgres does not know counts as UTC.
create function whale_day_start(zone text) returns timestamptz language plpgsql stable as $$
begin
  return date_trunc('day', now() at time zone zone) at time zone zone;
exception when others then
  return date_trunc('day', now() at time zone 'UTC') at time zone 'UTC';
end $$;

create type tier as enum ('FREE', 'PRO', 'ELITE');
create type user_state as enum ('ACTIVE', 'SUSPENDED', 'BANNED');
create type account_state as enum ('NEW', 'ACTIVE', 'REFUSED', 'DISABLED');
create type size_kind as enum ('FIXED', 'BALANCE_PERCENT');
create type position_side as enum ('BOTH', 'LONG', 'SHORT');
create type order_side as enum ('BUY', 'SELL');
create type margin_mode as enum ('CROSS', 'ISOLATED', 'CASH');
create type signal_kind as enum ('OPEN', 'INCREASE', 'REDUCE', 'CLOSE', 'FLIP');
create type signal_state as enum ('PENDING', 'PROCESSING', 'PROCESSED', 'SKIPPED');
create type trade_state as enum ('PENDING', 'EXECUTING', 'UNKNOWN', 'FILLED', 'PARTIAL', 'FAILED', 'SKIPPED');
create type position_state as enum ('OPEN', 'CLOSED');
create type close_reason as enum ('MANUAL', 'STOP_LOSS', 'TAKE_PROFIT', 'WHALE_EXIT', 'LIQUIDATION', 'EXTERNAL', 'PANIC');
create type ledger_kind as enum ('AVAILABLE', 'HELD', 'POSITION', 'FEE', 'RECEIVABLE', 'EXTERNAL');
create type ledger_reason as enum ('DEPOSIT', 'RESERVE', 'RELEASE', 'MARGIN', 'MARGIN_RETURN', 'TRADING_FEE', 'REALISED_PNL', 'VENUE_ADJUSTMENT');
create type whale_rank as enum ('BRONZE', 'SILVER', 'GOLD', 'PLATINUM', 'DIAMOND');
create type data_status as enum ('ACTIVE', 'SHARING_DISABLED', 'RATE_LIMITED');
create type confidence as enum ('LOW', 'MEDIUM', 'HIGH', 'VERY_HIGH');
create type notification_state as enum ('PENDING', 'SENT', 'FAILED');

-- Users ------------------------------------------------------------------------------------------------------
create table users (
  id            bigint generated always as identity primary key,
  telegram_id   bigint not null unique,
  username      text check (length(username) <= 64),
  first_name    text not null default '' check (length(first_name) <= 256),
  language      text not null default 'en' check (length(language) <= 16),
  time_zone     text not null default 'UTC',
  tier          tier not null default 'FREE',
  state         user_state not null default 'ACTIVE',
  session_epoch bigint not null default 1,
  blocked_bot   boolean not null default false,
  version       bigint not null default 1,          -- raised by whatever a decision reads: settings, accounts, tier
  created_at    timestamptz not null default now()
);

create table user_settings (
  user_id              bigint primary key references users,
  mode                 text not null default 'FUTURES' check (mode in ('SPOT', 'FUTURES', 'MIXED')),
  preferred_venue      text not null default 'binance',
  auto_copy            boolean not null default true,
  auto_copy_delay_s    integer not null default 0 check (auto_copy_delay_s between 0 and 3600),
  default_size         money_amount check (default_size > 0),
  maximum_size         money_amount check (maximum_size > 0),
  stop_loss_percent    money_amount check (stop_loss_percent > 0 and stop_loss_percent <= 100),
  take_profit_percent  money_amount check (take_profit_percent > 0),
  daily_loss_limit     money_amount check (daily_loss_limit > 0),
  maximum_positions    integer check (maximum_positions > 0),
  default_leverage     integer not null default 5 check (default_leverage between 1 and 125),
  maximum_leverage     integer not null default 20 check (maximum_leverage between 1 and 125),
  close_at_take_profit boolean not null default true,
  close_on_whale_exit  boolean not null default true
);

-- API keys of exchange accounts. `sealed` is what nginx wrote (to the X25519 key of sign); sign turns it into `secret`
-- (base64 of nonce, tag, ciphertext under key_id) and `sealed` becomes null. whale_web may read neither.
create table venue_accounts (
  user_id       bigint not null references users,
  id            bigint generated always as identity,
  ref           uuid not null,                      -- part of the AAD of both encryptions, drawn by nginx
  venue         text not null,
  market        text not null default 'usdm',
  label         text not null default '' check (length(label) <= 64),
  key_hint      text not null default '' check (length(key_hint) <= 8),
  testnet       boolean not null default false,
  state         account_state not null default 'NEW',
  reason        text,                               -- an error code, where REFUSED or DISABLED
  sealed        bytea,
  secret        text,
  key_id        integer,
  can_spot      boolean not null default false,
  can_futures   boolean not null default false,
  position_mode text not null default 'ONE_WAY' check (position_mode in ('ONE_WAY', 'HEDGE')),
  wallet_seen   money_amount,                       -- the venue's own figure of the wallet, when last read
  wallet_seen_at timestamptz,
  checked_at    timestamptz,
  check_after   timestamptz not null default now(), -- when it is next to be checked
  created_at    timestamptz not null default now(),
  removed_at    timestamptz,
  primary key (user_id, id),
  unique (ref)
);
create unique index venue_accounts_one on venue_accounts (user_id, venue, market) where removed_at is null;
create index venue_accounts_due on venue_accounts (check_after) where removed_at is null and state in ('NEW', 'ACTIVE');

-- What the venue account has set for an instrument, so that leverage is sent once and remembered.
create table account_instruments (
  user_id       bigint not null,
  account_id    bigint not null,
  instrument_id bigint not null,
  leverage      integer not null,
  primary key (user_id, account_id, instrument_id),
  foreign key (user_id, account_id) references venue_accounts (user_id, id)
);

-- Markets ----------------------------------------------------------------------------------------------------
create table instruments (
  id                  bigint generated always as identity primary key,
  name                text not null unique,         -- venue:market:native
  venue               text not null,
  market              text not null check (market in ('spot', 'usdm', 'coinm', 'outcome')),
  native              text not null check (length(native) <= 80),
  underlying          text not null,
  base_asset          text not null,
  quote_asset         text not null,
  settle_asset        text not null,
  multiplier          money_amount not null default 1 check (multiplier > 0),
  contract_size       money_amount not null default 1 check (contract_size > 0),
  inverse             boolean not null default false,
  quantity_unit       text not null default 'base' check (quantity_unit in ('base', 'contracts', 'quote', 'shares')),
  price_tick          money_amount not null check (price_tick > 0),
  quantity_step       money_amount not null check (quantity_step > 0),
  quantity_min        money_amount not null,
  quantity_max        money_amount not null,
  market_quantity_step money_amount not null,
  market_quantity_min money_amount not null,
  market_quantity_max money_amount not null,
  notional_min        money_amount not null default 0,
  notional_min_waived_reduce_only boolean not null default false,
  leverage_max        integer not null default 0,   -- 0: not known yet
  trading             boolean not null default true,
  updated_at          timestamptz not null default now(),
  unique (venue, market, native)
);

-- Whales -----------------------------------------------------------------------------------------------------
create table whales (
  id               bigint generated always as identity primary key,
  venue            text not null,
  market           text not null default 'usdm',
  leader_id        text not null check (length(leader_id) <= 95),
  name             text not null default '',
  rank             whale_rank not null default 'BRONZE',
  score            numeric(6, 2) not null default 0 check (score between 0 and 100),
  status           data_status not null default 'ACTIVE',
  polling_priority integer not null default 50 check (polling_priority between 1 and 100),
  win_rate         numeric(8, 4),
  pnl_7d           money_amount,
  roi_7d           numeric(14, 4),
  pnl_30d          money_amount,
  roi_30d          numeric(14, 4),
  trades_seen      integer,
  copier_pnl       money_amount,
  equity           money_amount,
  followers        integer not null default 0,      -- here
  leader_followers integer,                         -- there
  sample_size      integer not null default 0,      -- reads behind the figures
  stats_at         timestamptz,
  positions_version bigint not null default 0,      -- of the last good read
  baseline_at      timestamptz,                     -- null: the next good read is a baseline and opens nothing
  last_good_at     timestamptz,
  unknown_reads    integer not null default 0,      -- in a row
  next_read_at     timestamptz not null default now(),
  owner            text,                            -- the watch process that reads it
  lease_until      timestamptz,
  created_at       timestamptz not null default now(),
  unique (venue, market, leader_id)
);
create index whales_due on whales (next_read_at);
create index whales_rank on whales (score desc, id);

create table whale_positions (
  whale_id      bigint not null references whales,
  native        text not null,
  position_side position_side not null,
  instrument_id bigint references instruments,      -- null: not listed with us
  quantity      money_amount not null,              -- signed
  entry_price   money_amount not null,
  leverage      integer not null default 1,
  margin_mode   margin_mode not null default 'CROSS',
  version       bigint not null default 1,          -- raised by each change; part of a signal's key
  updated_at    timestamptz not null default now(),
  primary key (whale_id, native, position_side)
);

create table follows (
  user_id             bigint not null references users,
  id                  bigint generated always as identity,
  whale_id            bigint not null references whales,
  auto_copy           boolean not null default true,
  size_kind           size_kind,                    -- null: the user's default, else 1 % of balance
  size_value          money_amount check (size_value > 0),
  leverage            integer check (leverage between 1 and 125),
  copy_leverage       boolean not null default true,
  stop_loss_percent   money_amount check (stop_loss_percent > 0 and stop_loss_percent <= 100),
  take_profit_percent money_amount check (take_profit_percent > 0),
  active              boolean not null default true,
  version             bigint not null default 1,
  created_at          timestamptz not null default now(),
  stopped_at          timestamptz,
  primary key (user_id, id),
  unique (user_id, whale_id),
  check ((size_kind is null) = (size_value is null)),
  check (size_kind is distinct from 'BALANCE_PERCENT' or size_value <= 100)
);
create index follows_of_whale on follows (whale_id, user_id) where active;

-- Signals ----------------------------------------------------------------------------------------------------
-- One row a change of one whale position: re-reads make none twice. A flip is two rows of the same version: CLOSE of the
-- old side, then FLIP, which opens the new one.
create table signals (
  id              bigint generated always as identity primary key,
  whale_id        bigint not null references whales,
  instrument_id   bigint references instruments,
  native          text not null,
  position_side   position_side not null,
  whale_version   bigint not null,
  kind            signal_kind not null,
  side            order_side not null,
  closes          boolean not null,                 -- CLOSE and REDUCE
  quantity_before money_amount not null,
  quantity_after  money_amount not null,
  fraction        money_amount not null check (fraction > 0), -- of the position: 1 closes it all; 0.25 cuts or adds a quarter
  leverage        integer not null,
  price           money_amount not null,            -- mark at the signal
  notional        money_amount not null,            -- of the change, in quote currency
  confidence      confidence not null default 'LOW',
  confidence_score numeric(6, 2) not null default 0 check (confidence_score between 0 and 100),
  state           signal_state not null default 'PENDING',
  reason          text,                             -- an error code, where SKIPPED
  fanned_out_to   bigint not null default 0,        -- followers up to this user id are reserved
  copies          integer not null default 0,
  skips           integer not null default 0,
  claims          integer not null default 0,       -- how often one began to fan it out
  owner           text,
  lease_until     timestamptz,
  detected_at     timestamptz not null default now(),
  processed_at    timestamptz,
  unique (whale_id, native, position_side, whale_version, closes)
);
create index signals_open on signals (id) where state in ('PENDING', 'PROCESSING');
create trigger signals_transition before update of state on signals for each row
  when (old.state is distinct from new.state and not (
        (old.state = 'PENDING' and new.state in ('PROCESSING', 'SKIPPED'))
     or (old.state = 'PROCESSING' and new.state in ('PROCESSED', 'PENDING', 'SKIPPED'))))
  execute function refuse_transition();

-- Trades: the queue and the history --------------------------------------------------------------------------
-- What a copied signal writes for each follower (trades, fills, positions, ledger, notifications) has no foreign keys: they
-- were two fifths of the time of a fan-out. Reserving holds the user's row, and nothing that these rows name is ever deleted.
create table trades (
  user_id         bigint not null,
  id              bigint generated always as identity,
  signal_id       bigint,
  whale_id        bigint,
  follow_id       bigint,
  account_id      bigint,                           -- null only for SKIPPED
  instrument_id   bigint,
  position_id     bigint,                           -- the copy that it changes; null for a first entry
  side            order_side not null,
  position_side   position_side not null default 'BOTH',
  reduce_only     boolean not null default false,
  close_reason    close_reason,
  state           trade_state not null default 'PENDING',
  unfinished      boolean not null default true,    -- indexed instead of state, so that claims stay heap-only
  reason          text,                             -- an error code
  venue_code      integer,
  venue_message   text,
  size            money_amount not null default 0,  -- margin, in quote currency
  leverage        integer not null default 1,
  price           money_amount not null default 0,  -- that the decision used
  quantity        money_amount not null default 0,
  hold            money_amount not null default 0,  -- funds held until it ends
  client_order_id text,                             -- 'w' and 26 of base32; attempt goes behind it
  attempt         smallint not null default 1,
  owner           text,
  lease_until     timestamptz,
  requested_at    timestamptz,                      -- time that the request is signed with
  asks            integer not null default 0,       -- how often an unclear one was asked about
  ask_after       timestamptz,
  venue_order_id  text,
  filled_quantity money_amount not null default 0,
  average_price   money_amount,
  fee             money_amount not null default 0,
  realised_pnl    money_amount not null default 0,
  detected_at     timestamptz,
  reserved_at     timestamptz not null default clock_timestamp(),
  sent_at         timestamptz,
  accepted_at     timestamptz,
  settled_at      timestamptz,
  primary key (user_id, id),
  check (unfinished = (state in ('PENDING', 'EXECUTING', 'UNKNOWN'))),
  check (state = 'SKIPPED' or (account_id is not null and instrument_id is not null and quantity > 0 and client_order_id is not null)),
  check (filled_quantity between 0 and quantity),
  check (state <> 'FILLED' or filled_quantity = quantity),
  check (state <> 'PARTIAL' or (filled_quantity > 0 and filled_quantity < quantity)),
  check (state not in ('FAILED', 'SKIPPED') or (filled_quantity = 0 and reason is not null))
) with (fillfactor = 50);
create unique index trades_one_a_signal on trades (user_id, signal_id) where signal_id is not null;
create unique index trades_one_live_close on trades (user_id, position_id) where unfinished and reduce_only;
create index trades_lane on trades (user_id, account_id, instrument_id, id) where unfinished;
create index trades_ask_later on trades (ask_after) where not unfinished and ask_after is not null;
create index trades_realised on trades (user_id, settled_at) where realised_pnl <> 0;
-- With statistics, "where state = 'PENDING'" is estimated at one row once most are final, and batch joins become
-- quadratic nested loops.
alter table trades alter column state set statistics 0;
alter table trades alter column unfinished set statistics 0;
-- FAILED to UNKNOWN is an order that was given up as unclear and surfaced later: it is adopted.
create trigger trades_transition before update of state on trades for each row
  when (old.state is distinct from new.state and not (
        (old.state = 'PENDING' and new.state in ('EXECUTING', 'FAILED'))
     or (old.state = 'EXECUTING' and new.state in ('PENDING', 'UNKNOWN', 'FILLED', 'PARTIAL', 'FAILED'))
     or (old.state = 'UNKNOWN' and new.state in ('EXECUTING', 'FILLED', 'PARTIAL', 'FAILED'))
     or (old.state = 'FAILED' and old.reason = 'unclear_not_found' and new.state = 'UNKNOWN')))
  execute function refuse_transition();

-- What a user has lost since a moment: realised, with the fees of those trades; a gain is negative.
create function whale_loss_since(p_user_id bigint, since timestamptz) returns numeric language sql stable
  return (select coalesce(sum(t.fee - t.realised_pnl), 0) from trades t
          where t.user_id = p_user_id and t.realised_pnl <> 0 and t.settled_at >= since);

create table fills (
  user_id        bigint not null,
  account_id     bigint not null,
  venue_trade_id text not null,
  instrument_id  bigint not null,
  trade_id       bigint not null,
  side           order_side not null,
  price          money_amount not null,
  quantity       money_amount not null check (quantity > 0),
  quote_quantity money_amount not null,
  fee            money_amount not null,
  fee_asset      text not null,
  realised_pnl   money_amount not null,
  maker          boolean not null,
  filled_at      timestamptz not null,
  primary key (user_id, account_id, instrument_id, venue_trade_id)
);
create index fills_of_trade on fills (user_id, trade_id);

-- A copy of one whale's position. Several copies of one instrument share the venue's position in one-way mode.
create table positions (
  user_id        bigint not null references users,
  id             bigint generated always as identity,
  account_id     bigint not null,
  instrument_id  bigint not null,
  whale_id       bigint,
  follow_id      bigint,
  position_side  position_side not null default 'BOTH',
  quantity       money_amount not null,             -- signed: negative is short
  entry_notional money_amount not null,             -- sum of |quantity| x price of what is open, exact
  margin         money_amount not null,             -- committed, in the ledger's POSITION account
  leverage       integer not null,
  realised_pnl   money_amount not null default 0,
  fees           money_amount not null default 0,
  state          position_state not null default 'OPEN',
  close_reason   close_reason,
  version        bigint not null default 1,
  opened_at      timestamptz not null default now(),
  closed_at      timestamptz,
  primary key (user_id, id),
  check ((state = 'OPEN') = (quantity <> 0)),
  check ((state = 'CLOSED') = (closed_at is not null)),
  check (state = 'OPEN' or (margin = 0 and entry_notional = 0))
) with (fillfactor = 70);
create unique index positions_one_open on positions (user_id, account_id, instrument_id, position_side, whale_id) where state = 'OPEN';
-- "is not null" keeps lookups by user out of this index, which would read all of it for each.
create index positions_of_whale on positions (whale_id, instrument_id, user_id) where state = 'OPEN' and whale_id is not null;
alter table positions alter column state set statistics 0; -- as for trades
create trigger positions_transition before update of state on positions for each row
  when (old.state = 'CLOSED' and new.state = 'OPEN') execute function refuse_transition();

-- The ledger -------------------------------------------------------------------------------------------------
-- An entry moves an amount from one account to another of the same (user, venue account, asset), so every transaction
-- sums to zero by construction. Balances are kept by the trigger below and by nothing else.
--   AVAILABLE + HELD + POSITION = the venue's wallet balance. EXTERNAL is the rest of the world: deposits, realised
--   profit and loss, what the venue changed without us. FEE collects what the venue charged.
-- The accounts of one (user, venue account, asset) stand in one row, so that a settled trade touches one row instead of
-- four; ledger_accounts, below, shows them one by one.
create table ledger_balances (
  user_id    bigint not null,
  account_id bigint not null,
  asset      text not null,
  available  money_amount not null default 0,
  held       money_amount not null default 0,
  position   money_amount not null default 0,
  fee        money_amount not null default 0,
  receivable money_amount not null default 0,
  external   money_amount not null default 0,
  primary key (user_id, account_id, asset)
) with (fillfactor = 50);

create view ledger_accounts with (security_invoker = true) as
select b.user_id, b.account_id, b.asset, k.kind, k.balance
from ledger_balances b cross join lateral (values
  ('AVAILABLE'::ledger_kind, b.available), ('HELD', b.held), ('POSITION', b.position), ('FEE', b.fee),
  ('RECEIVABLE', b.receivable), ('EXTERNAL', b.external)) k(kind, balance);

create table ledger_entries (
  user_id    bigint not null,
  id         bigint generated always as identity,
  account_id bigint not null,
  asset      text not null,
  from_kind  ledger_kind not null,
  to_kind    ledger_kind not null,
  amount     money_amount not null check (amount > 0),
  reason     ledger_reason not null,
  trade_id   bigint,
  booked_at  timestamptz not null default clock_timestamp(),
  primary key (user_id, id),
  check (from_kind <> to_kind)
);

create function ledger_apply() returns trigger language plpgsql security definer set search_path = public as $$
declare short bigint;
begin
  with applied as (
    insert into ledger_balances as b (user_id, account_id, asset, available, held, position, fee, receivable, external)
    select user_id, account_id, asset,
      coalesce(sum(amount) filter (where to_kind = 'AVAILABLE'), 0) - coalesce(sum(amount) filter (where from_kind = 'AVAILABLE'), 0),
      coalesce(sum(amount) filter (where to_kind = 'HELD'), 0) - coalesce(sum(amount) filter (where from_kind = 'HELD'), 0),
      coalesce(sum(amount) filter (where to_kind = 'POSITION'), 0) - coalesce(sum(amount) filter (where from_kind = 'POSITION'), 0),
      coalesce(sum(amount) filter (where to_kind = 'FEE'), 0) - coalesce(sum(amount) filter (where from_kind = 'FEE'), 0),
      coalesce(sum(amount) filter (where to_kind = 'RECEIVABLE'), 0) - coalesce(sum(amount) filter (where from_kind = 'RECEIVABLE'), 0),
      coalesce(sum(amount) filter (where to_kind = 'EXTERNAL'), 0) - coalesce(sum(amount) filter (where from_kind = 'EXTERNAL'), 0)
    from entered
    group by user_id, account_id, asset
    order by user_id, account_id, asset
    on conflict (user_id, account_id, asset) do update set
      available = b.available + excluded.available, held = b.held + excluded.held, position = b.position + excluded.position,
      fee = b.fee + excluded.fee, receivable = b.receivable + excluded.receivable, external = b.external + excluded.external
    returning b.held, b.position)
  select count(*) into short from applied where held < 0 or position < 0;
  -- Not a check of the table: that is tested on the row proposed, which for a known account is the change, not the balance.
  if short > 0 then
    raise exception '% accounts would owe what they hold', short using errcode = 'check_violation';
  end if;
  return null;
end $$;
create trigger ledger_apply after insert on ledger_entries referencing new table as entered
  for each statement execute function ledger_apply();
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger ledger_entries_append_only before update or delete on ledger_entries
  for each statement execute function refuse_change();

-- What shared memory shows: mirror follows this table ---------------------------------------------------------
create table changes (
  xid     xid8 not null default pg_current_xact_id(),
  kind    text not null check (kind in ('user', 'signal', 'whale')),
  subject bigint not null,                           -- user, signal or whale id
  primary key (xid, kind, subject)
);
create function changes_notify() returns trigger language plpgsql as $$
begin
  perform pg_notify('whale_changes', '');
  return null;
end $$;
create trigger changes_notify after insert on changes for each statement execute function changes_notify();

create function changes_of_users() returns trigger language plpgsql security definer set search_path = public as $$
begin
  insert into changes (kind, subject)
  select distinct 'user', (to_jsonb(c) ->> tg_argv[0])::bigint from changed c
  on conflict do nothing;
  return null;
end $$;
-- The hot tables have their own, without the detour through JSON.
create function changes_of_user_rows() returns trigger language plpgsql security definer set search_path = public as $$
begin
  insert into changes (kind, subject) select distinct 'user', user_id from changed on conflict do nothing;
  return null;
end $$;
create trigger users_changed_i after insert on users referencing new table as changed for each statement execute function changes_of_users('id');
create trigger users_changed_u after update on users referencing new table as changed for each statement execute function changes_of_users('id');
create trigger positions_changed_i after insert on positions referencing new table as changed for each statement execute function changes_of_user_rows();
create trigger positions_changed_u after update on positions referencing new table as changed for each statement execute function changes_of_user_rows();
create trigger balances_changed_i after insert on ledger_balances referencing new table as changed for each statement execute function changes_of_user_rows();
create trigger balances_changed_u after update on ledger_balances referencing new table as changed for each statement execute function changes_of_user_rows();

create function changes_of_signals() returns trigger language plpgsql security definer set search_path = public as $$
begin
  insert into changes (kind, subject) select 'signal', id from changed on conflict do nothing;
  perform pg_notify('whale_signals', '');
  return null;
end $$;
create trigger signals_changed after insert on signals referencing new table as changed for each statement execute function changes_of_signals();
create function changes_of_whales() returns trigger language plpgsql security definer set search_path = public as $$
begin
  insert into changes (kind, subject) select 'whale', id from changed on conflict do nothing;
  return null;
end $$;
create trigger whales_changed after insert on whales referencing new table as changed for each statement execute function changes_of_whales();

-- A decision carries users.version: whatever it reads raises it.
create function raise_user_version() returns trigger language plpgsql security definer set search_path = public as $$
begin
  update users set version = version + 1 where id = new.user_id;
  return null;
end $$;
create trigger settings_version after update on user_settings for each row execute function raise_user_version();
create trigger accounts_version after insert or update of state, removed_at, can_futures, position_mode on venue_accounts
  for each row execute function raise_user_version();
create function raise_own_version() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  return new;
end $$;
create trigger users_version before update of tier, state on users for each row execute function raise_own_version();
create trigger follows_version before update on follows for each row execute function raise_own_version();

create function accounts_notify() returns trigger language plpgsql as $$
begin
  perform pg_notify('whale_accounts', '');
  return null;
end $$;
create trigger accounts_notify after insert on venue_accounts for each statement execute function accounts_notify();

-- Out, dead, asked twice --------------------------------------------------------------------------------------
create table notifications (
  user_id    bigint not null,
  id         bigint generated always as identity,
  kind       text not null,                          -- 'fill', 'copy_failed', 'account'
  subject_id bigint,                                 -- trade or account
  body       jsonb not null default '{}',            -- values for the text; no secret
  state      notification_state not null default 'PENDING',
  attempts   integer not null default 0,
  send_after timestamptz not null default now(),
  owner      text,
  lease_until timestamptz,
  reason     text,
  created_at timestamptz not null default now(),
  sent_at    timestamptz,
  primary key (user_id, id)
);
create index notifications_due on notifications (send_after) where state = 'PENDING';
create unique index notifications_once on notifications (user_id, kind, subject_id) where subject_id is not null;
create function notifications_notify() returns trigger language plpgsql as $$
begin
  perform pg_notify('whale_notifications', '');
  return null;
end $$;
create trigger notifications_notify after insert on notifications for each statement execute function notifications_notify();

create table telegram_updates (
  update_id   bigint primary key,
  user_id     bigint references users,
  reply       text,                                  -- the body that answered it, so that a retry repeats it
  received_at timestamptz not null default now()
);

create table idempotency (
  user_id      bigint not null references users,
  key          text not null check (length(key) between 1 and 128),
  request_hash bytea not null,
  status       integer not null,
  body         text not null,
  created_at   timestamptz not null default now(),
  primary key (user_id, key)
);

create table jobs_dead (
  id         bigint generated always as identity primary key,
  kind       text not null,
  user_id    bigint,
  subject_id bigint,
  reason     text not null,
  detail     jsonb not null default '{}',
  created_at timestamptz not null default now()
);

create table audit_log (
  id         bigint generated always as identity primary key,
  user_id    bigint,
  actor      text not null,
  action     text not null,
  detail     jsonb not null default '{}',
  created_at timestamptz not null default now()
);

-- Row-level security: web requests see their own user's rows only ----------------------------------------------
do $$
declare t text;
begin
  foreach t in array array['user_settings', 'venue_accounts', 'account_instruments', 'follows', 'trades', 'fills',
                           'positions', 'ledger_balances', 'ledger_entries', 'notifications', 'idempotency'] loop
    execute format('alter table %I enable row level security', t);
    execute format('create policy own on %I to whale_web using (user_id = whale_user()) with check (user_id = whale_user())', t);
    execute format('create policy all_of_it on %I to whale_worker using (true) with check (true)', t);
  end loop;
end $$;
alter table users enable row level security;
create policy own on users to whale_web using (id = whale_user());
create policy all_of_it on users to whale_worker using (true) with check (true);
alter table telegram_updates enable row level security;
create policy own on telegram_updates to whale_web using (user_id = whale_user()) with check (user_id = whale_user());
create policy all_of_it on telegram_updates to whale_worker using (true) with check (true);

grant usage on schema public to whale_worker, whale_web;
grant select, insert, update, delete on all tables in schema public to whale_worker;
revoke update, delete on ledger_entries from whale_worker;
revoke insert, update, delete on ledger_balances, ledger_accounts from whale_worker;
grant usage on all sequences in schema public to whale_worker, whale_web;

grant select on whales, whale_positions, instruments, signals, users, user_settings, follows, trades, fills, positions,
  ledger_balances, ledger_accounts, ledger_entries, notifications, idempotency, telegram_updates to whale_web;
grant select (user_id, id, ref, venue, market, label, key_hint, testnet, state, reason, can_spot, can_futures, position_mode,
  wallet_seen, wallet_seen_at, checked_at, created_at, removed_at) on venue_accounts to whale_web;
grant insert (user_id, ref, venue, market, label, key_hint, testnet, sealed) on venue_accounts to whale_web;
grant update (label, removed_at) on venue_accounts to whale_web;
grant insert, update on follows, user_settings to whale_web;
grant insert on idempotency, telegram_updates to whale_web;

-- Sign-in, the one thing that a web request does before it has a user: makes or finds the user by what Telegram
-- vouched for, and becomes that user for the rest of the transaction.
create function web_sign_in(p_telegram_id bigint, p_username text, p_first_name text, p_language text)
returns table (user_id bigint, user_tier tier, user_state user_state, epoch bigint, created boolean)
language plpgsql security definer set search_path = public as $$
declare u users; made boolean := false;
begin
  select * into u from users where telegram_id = p_telegram_id;
  if not found then
    insert into users (telegram_id, username, first_name, language)
    values (p_telegram_id, left(p_username, 64), left(coalesce(p_first_name, ''), 256), left(coalesce(p_language, 'en'), 16))
    on conflict (telegram_id) do update set username = excluded.username returning * into u;
    insert into user_settings (user_id) values (u.id) on conflict do nothing;
    made := true;
  elsif u.username is distinct from left(p_username, 64) then
    update users set username = left(p_username, 64) where id = u.id returning * into u;
  end if;
  perform set_config('whale.user_id', u.id::text, true);
  return query select u.id, u.tier, u.state, u.session_epoch, made;
end $$;
revoke execute on function web_sign_in from public;
grant execute on function web_sign_in to whale_web, whale_worker;
