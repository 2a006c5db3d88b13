// The main job, end to end, on real processes: a trader signs in, connects a key, follows, and is copied; the bot and
// REST tell the same; what is wrong is said clearly; what restarts loses nothing.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { House } from '../../scripts/house.mjs';
import { check, settle } from '../../scripts/invariants.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whale-spine-'));
fs.chmodSync(directory, 0o755);
const house = new House(path.join(directory, 'run'), { watchInterval: '300ms', fsync: false });
const alpha = { name: 'Alpha', telegramId: 910000001 };
const beta = { name: 'Beta', telegramId: 910000002 };
let whale;
let leader;

const move = (action, extra = {}) => house.paper('POST', `/paper/v1/leaders/${leader}/move`, { symbol: 'BTCUSDT', action, side: 'LONG', leverage: 5, fraction: '0.5', ...extra });
const positions = async (user) => (await house.api(user, 'GET', '/api/v1/trades/positions')).body.items;
const message = (id, user, text) => ({ update_id: id, message: { message_id: 1, date: 1, from: { id: user.telegramId, is_bot: false, first_name: user.name }, chat: { id: user.telegramId, type: 'private' }, text } });

before(async () => {
    await house.start();
    await house.paper('POST', '/paper/v1/script', { running: false });
    leader = (await house.paper('GET', '/paper/v1/leaders')).leaders.find((row) => row.scripted).id;
    whale = await house.until('the whale to be discovered', () => house.sql(`select id from whales where leader_id = '${leader}' and baseline_at is not null`), 60000);
    const { accounts } = await house.paper('POST', '/paper/v1/accounts', { count: 2, prefix: 'spine' });
    await house.addFollower(alpha, accounts[0], whale, { size_kind: 'fixed', size_value: '100', leverage: 5, copy_leverage: false });
    await house.addFollower(beta, accounts[1], whale, { size_kind: 'balance_percent', size_value: '3', copy_leverage: true });
    await house.until('both accounts to be verified', () => house.sql("select count(*) from venue_accounts where state = 'ACTIVE'") === '2', 30000);
});
after(async () => {
    await house.stop();
    fs.rmSync(directory, { recursive: true, force: true });
});

describe('a copied trade', () => {
    it('opens for every follower when the whale opens, and shows in REST with a live price', async () => {
        await move('open');
        await house.until('both copies', async () => (await positions(alpha)).length === 1 && (await positions(beta)).length === 1);
        const [position] = await positions(alpha);
        assert.equal(position.symbol, 'BTCUSDT');
        assert.equal(position.side, 'LONG');
        assert.equal(position.leverage, 5);
        assert.equal(position.mark_source, 'synthetic');
        assert.ok(Number(position.notional) > 400 && Number(position.notional) <= 501, position.notional);
        const first = position.mark_price;
        await house.until('the price to move', async () => (await positions(alpha))[0].mark_price !== first);
        const { body } = await house.api(alpha, 'GET', '/api/v1/trades');
        assert.equal(body.items[0].state, 'FILLED');
        assert.ok(body.items[0].fee && Number(body.items[0].fee) > 0);
    });

    it('tells each follower in Telegram', async () => {
        const sent = await house.until('two messages', async () => {
            const answer = await house.fetchJson(`${house.urls.telegram}/_sent`);
            const list = Array.isArray(answer.body) ? answer.body : answer.body.sent ?? answer.body.messages;
            return list.length >= 2 && list;
        });
        const chats = new Set(sent.map((row) => Number((row.body ?? row.parameters ?? row).chat_id)));
        assert.ok(chats.has(alpha.telegramId) && chats.has(beta.telegramId));
    });

    it('follows an increase and a reduction in proportion, and a close to nothing', async () => {
        const [opened] = await positions(alpha);
        await move('increase');
        await house.until('the increase', async () => Number((await positions(alpha))[0].quantity) > Number(opened.quantity));
        const [grown] = await positions(alpha);
        await move('reduce');
        await house.until('the reduction', async () => Number((await positions(alpha))[0].quantity) < Number(grown.quantity));
        await move('close');
        await house.until('the close', async () => (await positions(alpha)).length === 0 && (await positions(beta)).length === 0);
    });

    it('turns around when the whale flips: one close, one opening', async () => {
        await move('open');
        await house.until('the opening', async () => (await positions(alpha)).length === 1);
        await move('flip');
        await house.until('the flip', async () => (await positions(alpha))[0]?.side === 'SHORT');
        await move('close', { side: 'SHORT' });
        await house.until('the close', async () => (await positions(alpha)).length === 0);
    });

    it('leaves books that agree with the venue to the last digit', async () => {
        assert.equal(await settle(house), null);
        let wrong = [];
        for (let attempt = 0; attempt < 20 && (wrong = check(house)).length; attempt++) await sleep(250);
        assert.deepEqual(wrong, []);
    });
});

describe('keys', () => {
    it('are refused when they may withdraw', async () => {
        const gamma = { name: 'Gamma', telegramId: 910000003 };
        const { accounts } = await house.paper('POST', '/paper/v1/accounts', { count: 1, prefix: 'withdraw', can_withdraw: true });
        await house.addFollower(gamma, accounts[0], whale, { size_kind: 'fixed', size_value: '50' });
        const reason = await house.until('a verdict', () => house.sql(`select reason from venue_accounts where label = '${accounts[0].account}' and state = 'REFUSED'`));
        assert.equal(reason, 'key_can_withdraw');
    });
    it('are stored encrypted, and nowhere else', () => {
        assert.equal(house.sql("select count(*) from venue_accounts where state = 'ACTIVE' and (sealed is not null or secret is null)"), '0');
        const { accounts } = { accounts: house.sql("select label from venue_accounts where state = 'ACTIVE'").split('\n') };
        assert.ok(accounts.length >= 2);
        const journal = fs.readFileSync(house.at('paper.journal'), 'utf8');
        const secret = /"secret_key":"([^"]{16,})"/.exec(journal)?.[1];
        for (const log of fs.readdirSync(house.at('log'))) {
            const text = fs.readFileSync(house.at('log', log), 'utf8');
            if (secret) assert.ok(!text.includes(secret), `${log} holds an exchange secret`);
            assert.ok(!text.includes(house.botToken), `${log} holds the bot token`);
            assert.ok(!text.includes(house.webhookSecret), `${log} holds the webhook secret`);
        }
    });
});

describe('the bot', () => {
    it('answers reads in the body of the webhook answer', async () => {
        const whales = await house.webhook(message(1001, alpha, '/whales'));
        assert.equal(whales.status, 200);
        assert.equal(whales.body.method, 'sendMessage');
        assert.equal(Number(whales.body.chat_id), alpha.telegramId);
        const answer = await house.webhook(message(1002, alpha, '/positions'));
        assert.equal(answer.body.method, 'sendMessage');
    });
    it('commits a write with its update and repeats the reply to a retry', async () => {
        const delta = { name: 'Delta', telegramId: 910000004 };
        const start = await house.webhook(message(2001, delta, '/start'));
        assert.equal(start.body.method, 'sendMessage');
        const first = await house.webhook(message(2002, delta, `/follow ${whale} 75`));
        const again = await house.webhook(message(2002, delta, `/follow ${whale} 75`));
        assert.deepEqual(again.body, first.body);
        assert.equal(house.sql(`select count(*) || ' ' || max(size_value)::float from follows f join users u on u.id = f.user_id where u.telegram_id = ${delta.telegramId}`), '1 75');
    });
    it('refuses a wrong secret before it reads the body', async () => {
        const answer = await fetch(`${house.urls.http}/webhook/telegram`, { method: 'POST', body: '{', headers: { 'X-Telegram-Bot-Api-Secret-Token': 'wrong' } });
        assert.ok([401, 403].includes(answer.status));
    });
});

describe('users', () => {
    it('reach nothing of another', async () => {
        const [trade] = (await house.api(alpha, 'GET', '/api/v1/trades')).body.items;
        const others = (await house.api(beta, 'GET', '/api/v1/trades?limit=100')).body.items;
        assert.ok(!others.some((row) => row.id === trade.id));
        const keys = (await house.api(alpha, 'GET', '/api/v1/users/me/api-keys')).body.items;
        const answer = await house.api(beta, 'DELETE', `/api/v1/users/me/api-keys/${keys[0].id}`);
        assert.equal(answer.status, 404);
        assert.equal(answer.body.error.code, 'not_found');
    });
    it('get a clear error for what is wrong, in one form', async () => {
        for (const [call, status, code] of [
            [() => house.fetchJson(`${house.urls.http}/api/v1/users/me`), 401, 'unauthenticated'],
            [() => house.api(alpha, 'POST', '/api/v1/whales/999999999/follow', {}), 404, 'not_found'],
            [() => house.api(alpha, 'POST', `/api/v1/whales/${whale}/follow`, { size_kind: 'fixed', size_value: '-1' }), 400, 'bad_field'],
            [() => house.api(alpha, 'GET', '/api/v1/nothing'), 404, 'not_found'],
            [() => house.api(alpha, 'GET', '/api/v1/prices/binance/usdm/NOPE'), 404, 'not_found'],
            [() => house.fetchJson(`${house.urls.http}/api/v1/users/me`, { headers: { 'X-Telegram-Init-Data': house.initData(alpha, 1600000000) } }), 401, 'init_data_stale'],
        ]) {
            const answer = await call();
            assert.equal(answer.status, status, JSON.stringify(answer.body));
            assert.equal(answer.body.error.code, code);
            assert.ok(answer.body.error.request_id);
        }
    });
});

describe('restarts under load', () => {
    // A connection a request: one that is kept open may be closed by a reload at the moment it is written to, which every
    // HTTP/1.1 client has to bear with and none can tell from a failure.
    const get = (target) => new Promise((resolve, reject) => {
        http.get(house.urls.http + target, { agent: false, headers: { 'X-Telegram-Init-Data': house.initData(alpha) } }, (answer) => {
            let text = '';
            answer.on('data', (chunk) => { text += chunk; });
            answer.on('end', () => resolve({ status: answer.statusCode, text }));
            answer.on('error', reject);
        }).on('error', reject);
    });
    async function underLoad(disturb) {
        const failures = [];
        let served = 0;
        let running = true;
        const load = Array.from({ length: 8 }, async (_, i) => {
            while (running) {
                const target = i % 2 ? '/api/v1/prices/binance/usdm/BTCUSDT' : '/api/v1/trades/positions';
                try {
                    const answer = await get(target);
                    if (answer.status === 200) served++;
                    else failures.push(`${target} ${answer.status} ${answer.text}`);
                } catch (error) {
                    failures.push(`${target} ${error.code ?? error.message}`);
                }
                await sleep(2);
            }
        });
        await disturb();
        running = false;
        await Promise.all(load);
        assert.deepEqual(failures.slice(0, 3), []);
        assert.ok(served > 100);
    }

    it('reloads of nginx fail no request', () => underLoad(async () => {
        for (let i = 0; i < 3; i++) {
            house.children.get('nginx').kill('SIGHUP');
            await sleep(700);
        }
    }));

    it('a restart of workerd fails no request', () => underLoad(async () => {
        await house.stopOne('workerd');
        await sleep(500);
        house.startWorkerd();
        await house.waitHealthy();
        await sleep(1500);
    }));

    it('leaves no alert in the log of nginx', () => {
        const log = fs.readFileSync(house.at('log/nginx.log'), 'utf8');
        assert.ok(!/\[(alert|emerg)\]|exited on signal/.test(log), log.split('\n').filter((line) => /\[(alert|emerg)\]|exited on signal/.test(line)).join('\n'));
    });
});
