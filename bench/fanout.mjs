// fanout_N: one signal, N followers: from the signal's commit to every fill committed and visible in shared memory.
//
// Real processes, Postgres with fsync, the paper venue on the same cores. Baseline: the SQL floor (the same rows in the
// same tables, bench/fanout_floor.sql) plus the HTTP floor (as many requests by wrk on the same listener). Stages are
// wall-clock spans of the whole crowd and overlap: each begins with its first row and ends with its last. `sign` is
// time inside the signer, `visible` the mean from a fill's commit to shared memory.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { House, root } from '../scripts/house.mjs';

const sizes = process.argv.slice(2).map(Number);
if (sizes.some((n) => !Number.isInteger(n) || n < 1)) {
    console.error('usage: fanout.mjs [FOLLOWERS...]');
    process.exit(2);
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const line = (name, value, unit, baseline) =>
    console.log(`bench ${name} ${value.toFixed(4)} ${unit} baseline ${baseline === null ? '-' : baseline.toFixed(4)} ratio ${baseline ? (value / baseline).toFixed(2) : '-'}`);

function sqlFloor(house, followers) {
    const run = house.runAs('psql', ['-X', '-q', '-At', '-h', house.socketDirectory, '-U', 'whale', '-d', 'whale', '-v', `n=${followers}`, '-f', path.join(root, 'bench/fanout_floor.sql')]);
    const match = /floor ([0-9.]+)/.exec(run.stdout);
    if (run.status !== 0 || !match) throw new Error(`SQL floor: ${run.stderr}`);
    return Number(match[1]);
}

function httpFloor(house, requests) {
    const run = spawnSync('wrk', ['-t1', '-c64', '-d2s', `${house.urls.paperHttp}/fapi/v1/time`], { encoding: 'utf8' });
    const match = /Requests\/sec:\s+([0-9.]+)/.exec(run.stdout ?? '');
    if (!match) throw new Error('HTTP floor: wrk gave no figure');
    return requests / Number(match[1]);
}

// Seconds of one signal: whole, and by stage.
function stages(house, signal) {
    const [detect, reserve, send, accept, confirm, total, orders] = house.sql(`select
        0, extract(epoch from max(t.reserved_at) - s.detected_at), extract(epoch from max(t.sent_at) - min(t.reserved_at)),
        extract(epoch from max(t.accepted_at) - min(t.sent_at)), extract(epoch from max(t.settled_at) - min(t.accepted_at)),
        extract(epoch from max(t.settled_at) - s.detected_at), count(*)
        from signals s join trades t on t.signal_id = s.id where s.id = ${signal} and t.state = 'FILLED' group by s.id`).split('|').map(Number);
    return { detect, reserve, send, accept, confirm, total, orders };
}

// Sum and count of a histogram, as they grew between two readings of /metrics.
function grown(before, after, name) {
    const read = (text, part) => Number(new RegExp(`^whale_${name}_${part} ([0-9.e+-]+)`, 'm').exec(text)?.[1] ?? 0);
    return { sum: read(after, 'sum') - read(before, 'sum'), count: read(after, 'count') - read(before, 'count') };
}

async function measure(house, leader, followers) {
    const metrics = () => fetch(`${house.urls.ops}/metrics`).then((answer) => answer.text());
    const beforeText = await metrics();
    const last = Number(house.sql('select coalesce(max(id), 0) from signals'));
    const moved = Date.now();
    await house.paper('POST', `/paper/v1/leaders/${leader}/move`, { symbol: 'BTCUSDT', action: 'open', side: 'LONG', leverage: 5, fraction: '1' });
    const signal = Number(await house.until('the signal', () => house.sql(`select id from signals where id > ${last} and kind = 'OPEN'`)));
    await house.until('every fill', () => house.sql(`select count(*) from trades where signal_id = ${signal} and state = 'FILLED'`) === String(followers), 120000);
    await house.until('all of it in shared memory', () => house.runAs(house.workerd(), ['verify', '-c', house.at('whale.conf')]).status === 0, 60000);
    const afterText = await metrics();
    const result = stages(house, signal);
    result.detect = (Number(house.sql(`select extract(epoch from detected_at) * 1000 from signals where id = ${signal}`)) - moved) / 1000;
    result.sign = grown(beforeText, afterText, 'sign_batch_seconds').sum;
    const visible = grown(beforeText, afterText, 'mirror_visible_seconds');
    result.visible = visible.count ? visible.sum / visible.count : 0;
    await house.paper('POST', `/paper/v1/leaders/${leader}/move`, { symbol: 'BTCUSDT', action: 'close', side: 'LONG' });
    await house.until('every close', () => house.sql("select count(*) from positions where state = 'OPEN'") === '0', 120000);
    return result;
}

async function run(followers) {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whale-fanout-'));
    fs.chmodSync(directory, 0o755);
    const house = new House(path.join(directory, 'run'), { watchInterval: '250ms', telegram: false, directives: 'whale_log_level warn;' });
    const end = async () => { await house.stop(); fs.rmSync(directory, { recursive: true, force: true }); };
    process.once('SIGINT', () => end().then(() => process.exit(130)));
    try {
        await house.start();
        await house.paper('POST', '/paper/v1/script', { running: false });
        const leader = (await house.paper('GET', '/paper/v1/leaders')).leaders.find((row) => row.scripted).id;
        const whale = await house.until('the whale to be discovered', () => house.sql(`select id from whales where leader_id = '${leader}' and baseline_at is not null`), 60000);
        await house.addCrowd(followers, whale, { sizeValue: '100' });
        await sleep(1000);
        await measure(house, leader, followers); // leverage is set on this first one, and caches fill
        const floor = sqlFloor(house, followers) + httpFloor(house, 2 * followers);
        house.sql('checkpoint');
        await sleep(500);
        const result = await measure(house, leader, followers);
        line(`fanout_${followers}`, result.total, 's', floor);
        for (const stage of ['detect', 'reserve', 'sign', 'send', 'accept', 'confirm', 'visible']) line(`fanout_${followers}_${stage}`, result[stage], 's', null);
    } finally {
        await end();
    }
}

for (const followers of sizes.length ? sizes : [1, 100, 1000, 10000]) await run(followers);
