// The demo: a whole Whale on loopback, six followers, live prices, a lead trader that moves.
//
//   node scripts/demo.mjs          until Ctrl-C, with a live view
//   node scripts/demo.mjs --once   until one signal has been copied to every follower and shows through REST;
//                                  exit status 0, or 1 with the reason
import fs from 'node:fs';
import path from 'node:path';
import { House, root } from './house.mjs';
import { collect, render, seconds } from './demo-view.mjs';

const once = process.argv.includes('--once');
const unknown = process.argv.slice(2).filter((argument) => argument !== '--once');
if (unknown.length) {
    console.error(`demo: unknown argument ${unknown[0]}`);
    process.exit(2);
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const note = (text) => console.log(`    ${text}`);

// Sizes that show the kinds: a fixed margin, a share of the balance, the whale's leverage, their own.
const followers = [
    { name: 'Follower1', telegramId: 900000001, follow: { size_kind: 'fixed', size_value: '100', copy_leverage: true } },
    { name: 'Follower2', telegramId: 900000002, follow: { size_kind: 'fixed', size_value: '250', leverage: 5, copy_leverage: false } },
    { name: 'Follower3', telegramId: 900000003, follow: { size_kind: 'balance_percent', size_value: '2', copy_leverage: true } },
    { name: 'Follower4', telegramId: 900000004, follow: { size_kind: 'balance_percent', size_value: '5', leverage: 3, copy_leverage: false } },
    { name: 'Follower5', telegramId: 900000005, follow: { size_kind: 'fixed', size_value: '60', leverage: 10, copy_leverage: false } },
    { name: 'Follower6', telegramId: 900000006, follow: { copy_leverage: true } },
];

const house = new House(path.join(root, '.run'));
let ending = false;

function writeEnvironment() {
    const values = {
        WHALE_HTTP: house.urls.http, WHALE_OPS_HTTP: house.urls.ops, WHALE_PAPER_BINANCE_HTTP: house.urls.paperHttp,
        WHALE_PAPER_BINANCE_WS: house.urls.paperWs,
        WHALE_PG: `postgresql:///whale?host=${house.socketDirectory}&user=whale`,
        WHALE_BOT_TOKEN: house.botToken, WHALE_WEBHOOK_SECRET: house.webhookSecret, WHALE_TELEGRAM_HTTP: house.urls.telegram,
        WHALE_CONF: house.at('whale.conf'), WHALE_DEMO_INIT_DATA: house.initData(followers[0]),
    };
    const text = Object.entries(values).map(([name, value]) => `${name}='${value}'\n`).join('');
    fs.writeFileSync(house.at('env'), text, { mode: 0o600 });
}

// The captured leader, and a constructed one that begins flat, so that something opens soon.
async function scriptedWhales() {
    const { body } = await house.fetchJson(`${house.urls.paperHttp}/paper/v1/leaders`);
    const scripted = body.leaders.filter((leader) => leader.scripted).map((leader) => leader.id);
    return house.until('the whales to be discovered', async () => {
        const found = house.sql(`select id from whales where leader_id in (${scripted.map((id) => `'${id.replace(/\W/g, '')}'`)}) and baseline_at is not null order by id`);
        return found.split('\n').length === scripted.length && found.split('\n');
    }, 60000);
}

async function addFollowers(whaleIds) {
    const { accounts } = await house.paper('POST', '/paper/v1/accounts', { count: followers.length, prefix: 'demo' });
    await Promise.all(followers.map(async (follower, i) => {
        await house.addFollower(follower, accounts[i], whaleIds[0], follower.follow);
        for (const whaleId of whaleIds.slice(1)) await house.api(follower, 'POST', `/api/v1/whales/${whaleId}/follow`, follower.follow);
    }));
    await house.until('the exchange accounts to be verified', () => {
        const refused = house.sql("select user_id || ': ' || reason from venue_accounts where state in ('REFUSED', 'DISABLED')");
        if (refused) throw new Error(`an exchange account was refused: ${refused}`);
        return house.sql("select count(*) from venue_accounts where state = 'ACTIVE'") === String(followers.length);
    }, 60000);
}

function printAddresses() {
    const text = `
  REST and webhook   ${house.urls.http}
  operator           ${house.urls.ops}/health  ${house.urls.ops}/metrics
  paper Binance      ${house.urls.paperHttp}  ${house.urls.paperWs}
  Bot API stand-in   ${house.urls.telegram}/_sent
  shell variables    .run/env     logs  .run/log/

  . .run/env
  curl -s $WHALE_HTTP/api/v1/prices/binance/usdm/BTCUSDT
  curl -s -H "X-Telegram-Init-Data: $WHALE_DEMO_INIT_DATA" $WHALE_HTTP/api/v1/trades/positions
  curl -s -H "X-Telegram-Init-Data: $WHALE_DEMO_INIT_DATA" "$WHALE_HTTP/api/v1/trades?limit=3"
  curl -s -H "X-Telegram-Bot-Api-Secret-Token: $WHALE_WEBHOOK_SECRET" -H 'Content-Type: application/json' $WHALE_HTTP/webhook/telegram \\
    -d '{"update_id":1,"message":{"message_id":1,"date":1,"from":{"id":900000001,"first_name":"Follower1"},"chat":{"id":900000001,"type":"private"},"text":"/positions"}}'
  curl -s $WHALE_OPS_HTTP/health
`;
    console.log(text);
    fs.writeFileSync(house.at('README'), text);
}

// One signal, filled for every follower, and each of them sees the position and the trade through REST.
async function copiedEverywhere() {
    const rows = house.sql(`select s.id from signals s join trades t on t.signal_id = s.id
        where s.kind in ('OPEN', 'FLIP') and t.state = 'FILLED' group by s.id having count(*) = ${followers.length} order by s.id limit 1`);
    if (!rows) return null;
    const signal = rows.split('\n')[0];
    for (const follower of followers) {
        const trades = await house.api(follower, 'GET', '/api/v1/trades?limit=50');
        const copy = trades.body?.items?.find((trade) => trade.signal_id === signal && trade.state === 'FILLED');
        if (!copy) return null;
        const positions = await house.api(follower, 'GET', '/api/v1/trades/positions');
        if (positions.status !== 200 || !positions.body.items.length) return null;
    }
    return signal;
}

async function runOnce(startedMs) {
    const readyMs = Date.now();
    const signal = await house.until('a signal copied to every follower', async () => {
        const failed = house.sql("select distinct coalesce(reason, '') || ' ' || coalesce(venue_message, '') from trades where state = 'FAILED'");
        if (failed) throw new Error(`a copy failed: ${failed}`);
        return copiedEverywhere();
    }, 120000);
    const view = await collect(house, followers);
    console.log(render(view, { colour: false }));
    const [kind, native, span] = house.sql(`select kind, native, extract(epoch from max(t.settled_at) - s.detected_at)
        from signals s join trades t on t.signal_id = s.id where s.id = ${Number(signal)} group by s.id`).split('|');
    console.log(`signal ${signal} (${kind} ${native}) copied to ${followers.length} of ${followers.length} followers`);
    console.log(`  start to ready          ${seconds(readyMs - startedMs)}`);
    console.log(`  ready to seen in REST   ${seconds(Date.now() - readyMs)}`);
    console.log(`  signal to last fill     ${(Number(span) * 1000).toFixed(1)} ms`);
    for (const [name, value] of Object.entries(view.latency)) console.log(`  ${name.padEnd(22)}  p50 ${value.p50}  p99 ${value.p99}`);
}

async function runLive() {
    const terminal = process.stdout.isTTY;
    while (!ending) {
        const view = await collect(house, followers).catch((error) => ({ error: error.message }));
        if (ending) break;
        if (terminal) process.stdout.write('\x1b[H\x1b[2J');
        console.log(render(view, { colour: terminal }));
        if (terminal) console.log('  Ctrl-C ends it.   Addresses and curl lines: .run/README');
        await sleep(terminal ? 1000 : 10000);
    }
}

async function end(status) {
    if (ending) return;
    ending = true;
    await house.stop().catch((error) => console.error(`demo: ${error.message}`));
    process.exit(status);
}
process.on('SIGINT', () => { console.log('\n==> stopping'); end(once ? 130 : 0); });
process.on('SIGTERM', () => end(once ? 143 : 0));
process.on('SIGHUP', () => end(once ? 129 : 0));

try {
    const startedMs = Date.now();
    console.log('==> starting Postgres, nginx, workerd and the paper venue under .run/');
    await house.start();
    await house.paper('POST', '/paper/v1/script', { running: false });
    const whaleIds = await scriptedWhales();
    note(`whales ${whaleIds.join(' and ')} found, their positions are the baseline`);
    await addFollowers(whaleIds);
    note(`${followers.length} followers signed in, connected a paper account each, and follow them`);
    writeEnvironment();
    printAddresses();
    await house.paper('POST', '/paper/v1/script', { running: true });
    if (once) {
        await runOnce(startedMs);
        await end(0);
    } else {
        await runLive();
    }
} catch (error) {
    if (!ending) {
        console.error(`demo: ${error.message}`);
        for (const name of ['workerd', 'nginx', 'postgres', 'telegram']) console.error(house.tail(name, 8));
    }
    await end(1);
}
