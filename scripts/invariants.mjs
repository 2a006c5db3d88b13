// What must hold once a house has come to rest, whatever happened to it:
//   every trade ended; quantity accepted at the venue <= quantity of the trade, and = quantity booked;
//   ledger entries add up to balances, balances to the venue's wallet, nothing is held; our positions are the venue's;
//   every order at the venue is a trade of ours; shared memory equals Postgres.
// The venue's side is read from the paper venue's own journal, not from anything of ours.
import fs from 'node:fs';

const scale = 10n ** 12n;

// Decimal text -> integer count of 10^-12.
export function decimal(text) {
    const match = /^(-?)(\d+)(?:\.(\d{1,12})0*)?$/.exec(String(text).trim());
    if (!match) throw new Error(`not a decimal: ${text}`);
    const value = BigInt(match[2]) * scale + BigInt((match[3] ?? '').padEnd(12, '0'));
    return match[1] ? -value : value;
}
export function decimalText(value) {
    const digits = (value < 0n ? -value : value).toString().padStart(13, '0');
    return `${value < 0n ? '-' : ''}${digits.slice(0, -12)}.${digits.slice(-12)}`.replace(/\.?0+$/, '');
}

const rows = (house, sql) => {
    const text = house.sql(sql);
    return text === '' ? [] : text.split('\n').map((line) => line.split('|'));
};

// The paper venue's journal: accounts with wallet and positions as it left them, and every accepted order.
export function readJournal(file) {
    const accounts = new Map();
    const orders = new Map();
    const account = (name) => {
        if (!accounts.has(name)) accounts.set(name, { wallet: 0n, positions: new Map() });
        return accounts.get(name);
    };
    for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
        if (!line) continue;
        let row;
        try { row = JSON.parse(line); } catch { continue; } // a torn last line was never answered
        if (row.kind === 'account') account(row.account).wallet += decimal(row.balance);
        if (row.kind !== 'order' && row.kind !== 'update') continue;
        const order = orders.get(row.order_id) ?? { ...row, filled: 0n };
        orders.set(row.order_id, order);
        if (!row.trade_id || order.filled) continue; // an order fills once, when it is accepted or later
        const owner = account(row.account);
        const quantity = decimal(row.executed);
        order.filled = quantity;
        owner.wallet += decimal(row.realized_pnl) - decimal(row.commission);
        owner.positions.set(row.symbol, (owner.positions.get(row.symbol) ?? 0n) + (row.side === 'BUY' ? quantity : -quantity));
    }
    return { accounts, orders };
}

// Waits until nothing is on its way. Returns false after timeoutMs, with what is left.
export async function settle(house, timeoutMs = 60000) {
    const end = Date.now() + timeoutMs;
    let left = '';
    while (Date.now() < end) {
        try {
            left = house.sql(`select (select count(*) from trades where unfinished) || ' trades, ' ||
                (select count(*) from signals where state in ('PENDING', 'PROCESSING')) || ' signals'`);
            if (left === '0 trades, 0 signals') return null;
        } catch (error) {
            left = error.message;
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return left;
}

export function check(house) {
    const wrong = [];
    const { accounts, orders } = readJournal(house.at('paper.journal'));

    // orders at the venue, by the client order id without its attempt
    const byClient = new Map();
    for (const order of orders.values()) {
        const base = order.client_order_id.slice(0, 27);
        const sum = byClient.get(base) ?? { filled: 0n, count: 0, account: order.account };
        sum.filled += order.filled;
        sum.count += order.filled > 0n ? 1 : 0;
        byClient.set(base, sum);
    }
    const seen = new Set();
    for (const [id, client, state, quantity, filled, reduceOnly] of rows(house,
        "select id, client_order_id, state, quantity, filled_quantity, reduce_only from trades where client_order_id is not null")) {
        seen.add(client);
        const venue = byClient.get(client) ?? { filled: 0n, count: 0 };
        if (venue.filled > decimal(quantity)) wrong.push(`trade ${id}: the venue filled ${decimalText(venue.filled)} of ${quantity}`);
        if (venue.filled !== decimal(filled)) wrong.push(`trade ${id} (${state}${reduceOnly === 't' ? ', reduce-only' : ''}): the venue filled ${decimalText(venue.filled)}, booked ${filled}`);
        if (venue.count > 1) wrong.push(`trade ${id}: ${venue.count} orders were filled at the venue`);
    }
    for (const client of byClient.keys()) if (!seen.has(client)) wrong.push(`the venue has an order ${client} that no trade has`);

    for (const [text] of rows(house, `select t.id || ': fills ' || coalesce(sum(f.quantity), 0) || ', booked ' || t.filled_quantity
        from trades t left join fills f on f.user_id = t.user_id and f.trade_id = t.id
        where t.filled_quantity > 0 group by t.user_id, t.id, t.filled_quantity having coalesce(sum(f.quantity), 0) <> t.filled_quantity`)) {
        wrong.push(`trade ${text}`);
    }

    // the ledger within itself
    for (const [text] of rows(house, `with moved as (
            select user_id, account_id, asset, to_kind as kind, amount from ledger_entries
            union all select user_id, account_id, asset, from_kind, -amount from ledger_entries),
          summed as (select user_id, account_id, asset, kind, sum(amount) as total from moved group by 1, 2, 3, 4)
        select user_id || '/' || account_id || '/' || asset || '/' || kind || ': entries ' || coalesce(total, 0) || ', balance ' || coalesce(balance, 0)
        from summed full join ledger_accounts using (user_id, account_id, asset, kind) where coalesce(total, 0) <> coalesce(balance, 0)`)) {
        wrong.push(`ledger ${text}`);
    }
    for (const [text] of rows(house, `select user_id || '/' || account_id || ' holds ' || balance from ledger_accounts where kind = 'HELD' and balance <> 0`)) {
        wrong.push(`ledger ${text} at rest`);
    }
    for (const [text] of rows(house, `select l.user_id || '/' || l.account_id || ': POSITION ' || l.balance || ', margins ' || coalesce(sum(p.margin), 0)
        from ledger_accounts l left join positions p on p.user_id = l.user_id and p.account_id = l.account_id and p.state = 'OPEN'
        where l.kind = 'POSITION' group by l.user_id, l.account_id, l.balance having coalesce(sum(p.margin), 0) <> l.balance`)) {
        wrong.push(`ledger ${text}`);
    }

    // nobody trades by hand here: a difference to the venue's wallet that was booked away is one that was made
    for (const [text] of rows(house, "select user_id || '/' || account_id || ': ' || from_kind || ' to ' || to_kind || ' ' || amount from ledger_entries where reason = 'VENUE_ADJUSTMENT'")) {
        wrong.push(`ledger ${text} booked as the venue's adjustment`);
    }

    // the ledger and the positions against the venue
    for (const [account, wallet] of rows(house, `select a.label, coalesce(sum(l.balance) filter (where l.kind in ('AVAILABLE', 'HELD', 'POSITION')), 0)
        from venue_accounts a left join ledger_accounts l on l.user_id = a.user_id and l.account_id = a.id where a.state = 'ACTIVE' group by a.label`)) {
        const venue = accounts.get(account);
        if (!venue) wrong.push(`account ${account} is unknown to the venue`);
        else if (venue.wallet !== decimal(wallet)) wrong.push(`account ${account}: the ledger has ${wallet}, the venue ${decimalText(venue.wallet)}`);
    }
    const ours = new Map(rows(house, `select a.label || ' ' || i.native, sum(p.quantity) from positions p
        join venue_accounts a on a.user_id = p.user_id and a.id = p.account_id join instruments i on i.id = p.instrument_id
        where p.state = 'OPEN' group by 1`).map(([key, quantity]) => [key, decimal(quantity)]));
    const theirs = new Map();
    for (const [name, account] of accounts) for (const [symbol, quantity] of account.positions) if (quantity !== 0n) theirs.set(`${name} ${symbol}`, quantity);
    for (const key of new Set([...ours.keys(), ...theirs.keys()])) {
        if ((ours.get(key) ?? 0n) !== (theirs.get(key) ?? 0n)) wrong.push(`position ${key}: ours ${decimalText(ours.get(key) ?? 0n)}, the venue's ${decimalText(theirs.get(key) ?? 0n)}`);
    }

    // shared memory against Postgres
    const verified = house.runAs(house.workerd(), ['verify', '-c', house.at('whale.conf')]);
    if (verified.status !== 0) wrong.push(`shared memory differs: ${(verified.stdout + verified.stderr).trim().split('\n').slice(0, 3).join('; ')}`);
    return wrong;
}
