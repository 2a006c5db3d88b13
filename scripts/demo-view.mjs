// What the demo's terminal shows: whales, signals, each follower's copies and positions, ticks, latencies.
// All of it is read where a user or an operator would read it: REST, /metrics.

const bold = (text) => `\x1b[1m${text}\x1b[0m`;
const green = (text) => `\x1b[32m${text}\x1b[0m`;
const red = (text) => `\x1b[31m${text}\x1b[0m`;
export const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

let lastTicks = null;

// Prometheus text -> { name: value } for plain counters, { name: [[le, count]…] } for histograms.
export function parseMetrics(text) {
    const plain = {};
    const buckets = {};
    for (const line of text.split('\n')) {
        const match = /^([a-z_]+)(?:\{([^}]*)\})? ([0-9.e+-]+|\+Inf|NaN)$/.exec(line);
        if (!match) continue;
        const [, name, labels, value] = match;
        const le = /le="([^"]+)"/.exec(labels ?? '');
        if (le && name.endsWith('_bucket')) (buckets[name.slice(0, -7)] ??= []).push([le[1] === '+Inf' ? Infinity : Number(le[1]), Number(value)]);
        else if (!labels) plain[name] = Number(value);
    }
    return { plain, buckets };
}

function quantile(rows, q) {
    const total = rows?.at(-1)?.[1] ?? 0;
    if (!total) return '–';
    const bound = rows.find(([, count]) => count >= total * q)?.[0] ?? Infinity;
    if (bound === Infinity) return '> max';
    return bound < 1e-3 ? `≤ ${(bound * 1e6).toFixed(1)} µs` : bound < 1 ? `≤ ${(bound * 1e3).toFixed(1)} ms` : `≤ ${bound.toFixed(1)} s`;
}

export async function collect(house, followers) {
    const [metricsAnswer, whales, signals, ...perFollower] = await Promise.all([
        fetch(`${house.urls.ops}/metrics`).then((answer) => answer.text()),
        house.api(followers[0], 'GET', '/api/v1/whales?limit=5'),
        house.api(followers[0], 'GET', '/api/v1/signals?limit=6'),
        ...followers.flatMap((follower) => [house.api(follower, 'GET', '/api/v1/trades/positions'),
            house.api(follower, 'GET', '/api/v1/trades?limit=50'), house.api(follower, 'GET', '/api/v1/users/me')]),
    ]);
    const { plain, buckets } = parseMetrics(metricsAnswer);
    const now = Date.now();
    const ticks = plain.whale_feed_ticks_total ?? 0;
    const rate = lastTicks ? (ticks - lastTicks.ticks) / ((now - lastTicks.now) / 1000) : null;
    lastTicks = { ticks, now };
    const latency = {};
    for (const [label, name] of [['tick to shm', 'feed_tick'], ['page to signal', 'watch_detect'], ['signal to reserved', 'trade_reserve'],
        ['reserved to wire', 'trade_send'], ['wire to confirmed', 'trade_confirm'], ['signal to confirmed', 'trade_total'],
        ['confirmed to visible', 'mirror_visible']]) {
        const rows = buckets[`whale_${name}_seconds`];
        latency[label] = { p50: quantile(rows, 0.5), p99: quantile(rows, 0.99) };
    }
    return {
        rate, ticks, latency, whales: whales.body?.items ?? [], signals: signals.body?.items ?? [],
        followers: followers.map((follower, i) => ({
            name: follower.name, positions: perFollower[3 * i].body?.items ?? [],
            trades: perFollower[3 * i + 1].body?.items ?? [], profile: perFollower[3 * i + 2].body ?? {},
        })),
    };
}

const number = (text, places = 2) => Number(text ?? 0).toLocaleString('en-US', { minimumFractionDigits: places, maximumFractionDigits: places });

export function render(view, { colour }) {
    if (view.error) return `  (${view.error})`;
    const title = colour ? bold : (text) => text;
    const sign = (text, value) => (!colour ? text : Number(value) < 0 ? red(text) : green(text));
    const lines = [title('Whale demo: real Binance frames of 2024-08-08 replayed; the lead trader\'s moves are a seeded script'), ''];
    lines.push(title('Whales'));
    for (const whale of view.whales) lines.push(`  #${String(whale.id).padEnd(4)} ${String(whale.name || whale.leader_id).slice(0, 28).padEnd(28)} ${whale.venue.padEnd(8)} ${whale.rank.padEnd(9)} score ${number(whale.score, 1).padStart(5)}  ${whale.status}`);
    lines.push('', title('Signals'));
    for (const signal of view.signals) lines.push(`  #${String(signal.id).padEnd(4)} ${signal.kind.padEnd(9)} ${signal.side.padEnd(4)} ${String(signal.symbol).padEnd(9)} at ${number(signal.price).padStart(11)}  ${signal.status.padEnd(10)} ${signal.copies ?? 0} copies  ${String(signal.detected_at).slice(11, 19)}`);
    lines.push('', title('Followers'));
    for (const follower of view.followers) {
        const filled = follower.trades.filter((trade) => trade.state === 'FILLED').length;
        const other = follower.trades.find((trade) => trade.reason);
        lines.push(`  ${follower.name.padEnd(11)} balance ${number(follower.profile.total_balance).padStart(11)} USDT  ${String(filled).padStart(3)} copies filled${other ? `  last refusal: ${other.reason}` : ''}`);
        for (const position of follower.positions) {
            const pnl = `${Number(position.unrealised_pnl) < 0 ? '' : '+'}${number(position.unrealised_pnl, 4)}`;
            lines.push(`      ${position.side.padEnd(5)} ${String(position.quantity).padStart(8)} ${position.symbol.padEnd(9)} ×${String(position.leverage).padEnd(3)} entry ${number(position.entry_price).padStart(11)}  mark ${number(position.mark_price).padStart(11)}  P&L ${sign(pnl.padStart(10), position.unrealised_pnl)}`);
        }
    }
    lines.push('', `${title('Prices')}   ${view.ticks} ticks${view.rate === null ? '' : `, ${view.rate.toFixed(0)} a second`}   (mark is the mid: synthetic)`);
    lines.push(title('Latency'));
    for (const [name, value] of Object.entries(view.latency)) lines.push(`  ${name.padEnd(22)} p50 ${value.p50.padEnd(12)} p99 ${value.p99}`);
    return lines.join('\n') + '\n';
}
