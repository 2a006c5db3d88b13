// What protects a follower's money on the way from a decision to an order, on real processes: bounds that a whale's
// own size cannot break, and what happens between a decision and its turn.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { House } from '../../scripts/house.mjs';
import { check, settle } from '../../scripts/invariants.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whale-money-'));
fs.chmodSync(directory, 0o755);
const house = new House(path.join(directory, 'run'), { watchInterval: '300ms', fsync: false });
const follow = { size_kind: 'fixed', size_value: '50', leverage: 5, copy_leverage: false };
const users = {};
let whale;
let leader;

// A move of the whale, seen: two between two looks would be one signal.
async function move(action, extra = {}) {
    const newest = () => house.sql('select coalesce(max(id), 0) from signals');
    const before = newest();
    await house.paper('POST', `/paper/v1/leaders/${leader}/move`, { symbol: 'BTCUSDT', action, side: 'LONG', leverage: 5, fraction: '0.5', ...extra });
    await house.until(`the signal of ${action}`, () => newest() !== before);
}
const open = (user) => house.sql(`select count(*) from positions where user_id = ${user.id} and state = 'OPEN'`);
// "STATE reason" of a user's trade of the newest signal of a kind
const last = (user, kind) => house.sql(`select t.state || coalesce(' ' || t.reason, '') from trades t where t.user_id = ${user.id} and t.signal_id = (select max(id) from signals where kind = '${kind}')`);
const ended = (user, kind) => house.until(`${kind} of ${user.name}`, () => /^(FILLED|PARTIAL|FAILED|SKIPPED)/.test(last(user, kind)) && last(user, kind), 20000);
const changed = (user, set) => house.sql(`update user_settings set ${set} where user_id = ${user.id}`);

// The user's own hand at the venue.
async function venue(user, method, target, parameters) {
    const query = new URLSearchParams({ ...parameters, timestamp: Date.now(), recvWindow: 5000 }).toString();
    const signature = createHmac('sha256', user.account.secret_key).update(query).digest('hex');
    const answer = await fetch(`${house.urls.paperHttp}${target}?${query}&signature=${signature}`, { method, headers: { 'X-MBX-APIKEY': user.account.api_key } });
    return answer.json();
}

// All invariants hold, but for what the first user's own order at the venue must show.
async function books() {
    assert.equal(await settle(house, 20000), null);
    let wrong = [];
    for (let attempt = 0; attempt < 12; attempt++) {
        wrong = check(house).filter((line) => !/that no trade has|ledger 1\/1: .* booked as the venue's adjustment/.test(line));
        if (!wrong.length) break;
        house.sql('update venue_accounts set check_after = now()'); // what that order changed in the wallet
        await sleep(1500); // a wallet is not compared within a second of a trade
    }
    assert.deepEqual(wrong, []);
}

before(async () => {
    await house.start();
    await house.paper('POST', '/paper/v1/script', { running: false });
    leader = (await house.paper('GET', '/paper/v1/leaders')).leaders.find((row) => row.scripted).id;
    whale = await house.until('the whale to be discovered', () => house.sql(`select id from whales where leader_id = '${leader}' and baseline_at is not null`), 60000);
    const names = ['plain', 'lowered', 'unfollows', 'switches', 'leaves'];
    for (const [i, name] of names.entries()) {
        const { accounts } = await house.paper('POST', '/paper/v1/accounts', { count: 1, prefix: name });
        const user = { name, telegramId: 920000001 + i, account: accounts[0] };
        await house.addFollower(user, accounts[0], whale, follow, 'ELITE');
        user.id = house.sql(`select id from users where telegram_id = ${user.telegramId}`);
        users[name] = user;
    }
    await house.until('the accounts to be verified', () => house.sql("select count(*) from venue_accounts where state = 'ACTIVE'") === String(names.length), 30000);
});
after(async () => {
    await house.stop();
    fs.rmSync(directory, { recursive: true, force: true });
});

describe('an entry that waits', () => {
    it('is not sent where the user has unfollowed or switched copying off, or the whale has left', async () => {
        const waiting = [users.unfollows, users.switches, users.leaves];
        for (const user of waiting) changed(user, 'auto_copy_delay_s = 4');
        await move('open', { quantity: '0.01' });
        await house.until('three to wait', () => house.sql(`select count(*) from trades where user_id in (${waiting.map((user) => user.id)}) and state = 'PENDING'`) === '3');
        assert.equal((await house.api(users.unfollows, 'DELETE', `/api/v1/whales/${whale}/follow`)).status, 200);
        changed(users.switches, 'auto_copy = false');
        assert.equal(await ended(users.plain, 'OPEN'), 'FILLED');
        await move('close');
        assert.equal(await ended(users.unfollows, 'OPEN'), 'FAILED copy_off');
        assert.equal(await ended(users.switches, 'OPEN'), 'FAILED copy_off');
        assert.equal(await ended(users.leaves, 'OPEN'), 'FAILED expired_unsent');
        assert.equal(await ended(users.plain, 'CLOSE'), 'FILLED');
        assert.equal(await settle(house, 20000), null);
    });
});

describe('an increase', () => {
    it('is bounded by what the user set, however much the whale adds, and by the maximum leverage', async () => {
        await move('open', { quantity: '0.01' });
        assert.equal(await ended(users.lowered, 'OPEN'), 'FILLED');
        changed(users.lowered, 'maximum_leverage = 3');
        await move('increase', { quantity: '10' });
        assert.equal(await ended(users.plain, 'INCREASE'), 'FILLED');
        assert.ok(Number(house.sql(`select margin from positions where user_id = ${users.plain.id} and state = 'OPEN'`)) <= 101);
        assert.equal(await ended(users.lowered, 'INCREASE'), 'SKIPPED leverage_limit');
        await settle(house, 20000);
    });
});

describe('a copy that its user closed in part at the venue', () => {
    it('is closed with what is there, and the books agree with the venue', async () => {
        const half = house.sql(`select trim_scale(trunc(quantity / 2, 3)) from positions where user_id = ${users.plain.id} and state = 'OPEN'`);
        const order = await venue(users.plain, 'POST', '/fapi/v1/order', { symbol: 'BTCUSDT', side: 'SELL', type: 'MARKET', quantity: half, reduceOnly: 'true' });
        assert.ok(order.orderId, JSON.stringify(order));
        await move('close');
        assert.equal(await ended(users.plain, 'CLOSE'), 'PARTIAL');
        assert.equal(open(users.plain), '0');
        assert.equal(house.sql(`select state || ' ' || close_reason || ' ' || trim_scale(quantity) || ' ' || trim_scale(margin) from positions where user_id = ${users.plain.id} order by id desc limit 1`), 'CLOSED EXTERNAL 0 0');
        await books();
    });
});

describe('an increase whose opening never happened', () => {
    it('opens nothing by itself', async () => {
        changed(users.lowered, 'maximum_leverage = 20');
        await house.paper('POST', '/paper/v1/faults', { never_percent: 100, scope: 'orders' });
        await move('open', { quantity: '1' });
        await house.until('the opening to be unclear', () => house.sql(`select count(*) from trades where state = 'UNKNOWN' and user_id = ${users.plain.id}`) === '1', 20000);
        await house.paper('POST', '/paper/v1/faults', { never_percent: 0, scope: 'orders' });
        await move('increase', { quantity: '1' });
        await house.until('the increase to wait', () => house.sql(`select count(*) from trades t join signals s on s.id = t.signal_id where t.user_id = ${users.plain.id} and s.kind = 'INCREASE' and t.state = 'PENDING'`) === '1');
        await settle(house, 40000);
        assert.equal(last(users.plain, 'OPEN'), 'FAILED unclear_not_found');
        assert.equal(last(users.plain, 'INCREASE'), 'FAILED no_position');
        assert.equal(open(users.plain), '0');
        await move('close');
    });
});

describe('the books', () => {
    it('agree with the venue', books);
});
