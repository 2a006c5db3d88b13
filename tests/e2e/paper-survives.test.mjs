// The paper venue killed under load is the venue it was, and its faults on purpose do what they say.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import { after, before, beforeEach, describe, it } from 'node:test';
import { OwnVenue, sleep, until } from './paper-venue.mjs';

let venue;
let account;

before(async () => { venue = await new OwnVenue().start(); });
after(() => venue.stop());
beforeEach(async () => {
    account = await venue.account({ balance: '1000000' });
    await venue.call('POST', '/paper/v1/faults', { late_percent: 0, held_percent: 0, never_percent: 0, drop_after_accept_percent: 0, error_percent: 0, error_after_accept_percent: 0, scope: 'orders', seed: 1 });
});

const sign = (owner, query) => `${query}&signature=${createHmac('sha256', owner.secret_key).update(query).digest('hex')}`;
const call = async (owner, method, target, query, timeoutMs = 5000) => {
    const answer = await fetch(`${venue.http}${target}?${sign(owner, `${query}&timestamp=${Date.now()}`)}`, { method, headers: { 'X-MBX-APIKEY': owner.api_key }, signal: AbortSignal.timeout(timeoutMs) });
    return { status: answer.status, body: await answer.json(), headers: answer.headers };
};
const place = (owner, id, extra = '', timeoutMs) => call(owner, 'POST', '/fapi/v1/order', `symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.002&newOrderRespType=RESULT&newClientOrderId=${id}${extra}`, timeoutMs);
const ask = (owner, id) => call(owner, 'GET', '/fapi/v1/order', `symbol=BTCUSDT&origClientOrderId=${id}`);
const journal = () => fs.readFileSync(venue.journal, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const accepted = (id) => journal().filter((row) => row.kind === 'order' && row.client_order_id === id).length;
// Everything that does not move with the price.
const picture = async (owner) => {
    const { body } = await venue.call('GET', `/paper/v1/accounts/${owner.account}`);
    return { wallet: body.wallet, orders: body.orders, positions: body.positions.map(({ symbol, quantity, entry_price: entry, realized_pnl: realised, leverage }) => ({ symbol, quantity, entry, realised, leverage })) };
};

describe('kill -9', () => {
    it('loses nothing that was answered, and repeats nothing', async () => {
        const owners = [account, ...(await venue.call('POST', '/paper/v1/accounts', { count: 7, prefix: 'killed', balance: '1000000' })).body.accounts];
        for (let round = 0; round < 3; round++) {
            const answered = new Map();
            let sent = 0;
            let running = true;
            const workers = owners.map(async (owner, i) => {
                while (running) {
                    const id = `r${round}-${i}-${sent++}`;
                    try {
                        const { status, body } = await place(owner, id);
                        if (status === 200) answered.set(id, { owner, body });
                    } catch { return; } // it was killed
                }
            });
            await call(owners[1], 'POST', '/fapi/v1/leverage', `symbol=BTCUSDT&leverage=${5 + round}`);
            await sleep(400);
            await venue.kill();
            running = false;
            await Promise.all(workers);
            await venue.start();
            assert.ok(answered.size > 50, `${answered.size} were answered`);
            for (const [id, { owner, body }] of [...answered].slice(-60)) {
                const { body: order } = await ask(owner, id);
                assert.equal(String(order.orderId), String(body.orderId));
                assert.equal(order.status, 'FILLED');
            }
            const times = new Map();
            for (const row of journal()) if (row.kind === 'order') times.set(row.client_order_id, (times.get(row.client_order_id) ?? 0) + 1);
            for (const id of answered.keys()) assert.equal(times.get(id), 1);
        }
        // the journal alone gives every wallet and position
        for (const owner of owners) {
            const rows = journal().filter((row) => row.account === owner.account && row.trade_id);
            const units = (text) => { const [whole, part = ''] = text.replace('-', '').split('.'); return (text.startsWith('-') ? -1n : 1n) * BigInt(whole + part.padEnd(12, '0')); };
            const wallet = rows.reduce((sum, row) => sum + units(row.realized_pnl) - units(row.commission), units('1000000'));
            const held = rows.reduce((sum, row) => sum + (row.side === 'BUY' ? 1n : -1n) * units(row.executed), 0n);
            const now = await picture(owner);
            assert.equal(units(now.wallet), wallet);
            assert.equal(units(now.positions[0].quantity), held);
        }
    });

    it('leaves accounts, positions and leaders as they were', async () => {
        await call(account, 'POST', '/fapi/v1/leverage', 'symbol=BTCUSDT&leverage=7');
        await place(account, 'one');
        const resting = await call(account, 'POST', '/fapi/v1/order', 'symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=59500&newClientOrderId=rests');
        assert.equal(resting.status, 200);
        const leader = (await venue.call('GET', '/paper/v1/leaders')).body.leaders.find((row) => row.origin === 'captured');
        await venue.call('POST', `/paper/v1/leaders/${leader.id}/move`, { symbol: 'BTCUSDT', action: 'reduce', side: 'LONG', fraction: '0.5' });
        const leaders = async () => (await venue.call('GET', '/paper/v1/leaders')).body.leaders.map((row) => ({ ...row, positions: row.positions.map(({ mark_price: mark, ...rest }) => rest) }));
        const before = [await picture(account), await leaders()];
        await venue.kill();
        fs.appendFileSync(venue.journal, '{"kind":"order","time_ms":1'); // as if the kill had torn a line
        await venue.start();
        assert.deepEqual([await picture(account), await leaders()], before);
        const { body: open } = await call(account, 'GET', '/fapi/v1/openOrders', 'symbol=BTCUSDT');
        assert.deepEqual(open.map((order) => order.clientOrderId), ['rests']);
    });
});

describe('faults on purpose', () => {
    const strike = (fault) => venue.call('POST', '/paper/v1/faults', fault);
    const waiting = (count) => until('answers to wait', async () => (await venue.call('GET', '/paper/v1/status')).body.waiting_answers >= count);

    it('late: accepted at once, answered later', async () => {
        await strike({ late_percent: 100, late_ms: 2500 });
        const base = (await venue.call('GET', '/paper/v1/status')).body.waiting_answers;
        const answer = place(account, 'late', '', 20000);
        await waiting(base + 1);
        assert.equal((await ask(account, 'late')).body.status, 'FILLED', 'the order is there before its answer');
        assert.equal((await answer).body.status, 'FILLED');
    });

    it('held: not there yet, then there', async () => {
        await strike({ held_percent: 100, held_ms: 2500 });
        const base = (await venue.call('GET', '/paper/v1/status')).body.waiting_answers;
        const answer = place(account, 'held', '&recvWindow=60000', 20000);
        await waiting(base + 1);
        assert.equal((await ask(account, 'held')).body.code, -2013, '"not found" is not "never placed"');
        assert.equal((await answer).body.status, 'FILLED');
        assert.equal(accepted('held'), 1);
    });

    it('held past its window: refused, and never accepted', async () => {
        await strike({ held_percent: 100, held_ms: 3000 });
        assert.equal((await place(account, 'stale', '&recvWindow=2500', 20000)).body.code, -5028);
        assert.equal(accepted('stale'), 0);
    });

    it('never: neither accepted nor answered', async () => {
        await strike({ never_percent: 100 });
        await assert.rejects(place(account, 'never', '', 500));
        assert.equal(accepted('never'), 0);
    });

    it('dropped after acceptance: no answer, but an order', async () => {
        await strike({ drop_after_accept_percent: 100 });
        await assert.rejects(place(account, 'dropped'));
        assert.equal(accepted('dropped'), 1);
        assert.equal((await ask(account, 'dropped')).body.status, 'FILLED');
    });

    it('error before and after acceptance: both 5xx, one order', async () => {
        await strike({ error_percent: 100 });
        const { status, body } = await place(account, 'overload');
        assert.deepEqual([status, body.code, accepted('overload')], [503, -1008, 0]);
        await strike({ error_percent: 0, error_after_accept_percent: 100 });
        const unclear = await place(account, 'unclear');
        assert.deepEqual([unclear.status, unclear.body.code, accepted('unclear')], [503, -1007, 1]);
    });

    it('strike orders only, unless told otherwise', async () => {
        await strike({ error_percent: 100 });
        assert.equal((await call(account, 'GET', '/fapi/v3/balance', 'x=1')).status, 200);
        await strike({ error_percent: 100, scope: 'all' });
        assert.equal((await call(account, 'GET', '/fapi/v3/balance', 'x=1')).status, 503);
        assert.equal((await venue.call('GET', '/fapi/v1/time')).status, 200);
    });

    it('are refused where they make no sense', async () => {
        assert.equal((await strike({ error_percent: 60, never_percent: 60 })).status, 400);
        assert.equal((await strike({ late_ms: -1 })).status, 400);
        assert.equal((await venue.call('GET', '/paper/v1/faults')).body.error_percent, '0');
    });

    it('end with the venue: waiting answers do not hold it up', async () => {
        await strike({ never_percent: 100 });
        const answers = Array.from({ length: 20 }, (_, i) => place(account, `waits-${i}`, '', 60000).catch(() => 'cut'));
        await waiting(20);
        assert.equal(await venue.kill('SIGTERM'), 0);
        assert.deepEqual(await Promise.all(answers), Array(20).fill('cut'));
        await venue.start();
    });
});

describe('limits', () => {
    it('are off, and answer 429 when they are on', async () => {
        await venue.call('POST', '/paper/v1/limits', { weight_per_minute: 1 });
        const { status, body, headers } = await call(account, 'GET', '/fapi/v3/balance', 'x=1');
        assert.deepEqual([status, body.code], [429, -1003]);
        assert.ok(Number(headers.get('retry-after')) > 0);
        await venue.call('POST', '/paper/v1/limits', { weight_per_minute: 0, orders_per_10s: 1 });
        await place(account, 'first');
        assert.equal((await place(account, 'second')).body.code, -1015);
        await venue.call('POST', '/paper/v1/limits', { orders_per_10s: 0 });
        assert.equal((await place(account, 'third')).status, 200);
    });
});
