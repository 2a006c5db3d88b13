// A paper venue for the tests, and clients pointed at it. Not a test itself.
//
// With WHALE_PAPER_BINANCE_HTTP and WHALE_PAPER_BINANCE_WS set, `venue()` is the one that runs there; otherwise it
// starts its own: `workerd role paper` on free ports, in a directory that it removes.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ccxt from 'ccxt';

export const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const workerd = path.join(root, 'build', process.env.FLAVOUR ?? 'release', 'workerd');

export async function until(what, probe, timeoutMs = 15000) {
    const end = Date.now() + timeoutMs;
    for (;;) {
        const found = await probe();
        if (found) return found;
        if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
        await sleep(20);
    }
}

export class Venue {
    constructor(http, ws) {
        this.http = http;
        this.ws = ws;
    }

    async call(method, target, body) {
        const answer = await fetch(this.http + target, { method, body: body === undefined ? undefined : JSON.stringify(body), headers: body === undefined ? {} : { 'Content-Type': 'application/json' } });
        return { status: answer.status, body: await answer.json(), headers: answer.headers };
    }

    async account(options = {}) {
        const { status, body } = await this.call('POST', '/paper/v1/accounts', { count: 1, prefix: 'e2e', ...options });
        if (status !== 200) throw new Error(JSON.stringify(body));
        return body.accounts[0];
    }

    async priced() {
        await until('the first price', async () => Object.keys((await this.call('GET', '/paper/v1/status')).body.prices).length === 2);
        return this;
    }

    // ccxt with every address of it replaced; its signatures cover paths, so those stay.
    async ccxt(account, options = {}) {
        const exchange = new ccxt.pro.binanceusdm({ apiKey: account.api_key, secret: account.secret_key, enableRateLimit: false, ...options });
        const redirect = (urls) => {
            for (const key of Object.keys(urls)) {
                if (typeof urls[key] === 'string') urls[key] = urls[key].replace(/^https?:\/\/[^/]+/, this.http).replace(/^wss?:\/\/[^/]+/, this.ws);
                else redirect(urls[key]);
            }
        };
        redirect(exchange.urls.api);
        // its half-hourly renewal of the listen key would keep the test's process alive
        exchange.delay = (ms, method, ...rest) => { setTimeout(() => exchange.spawn(method, ...rest), ms).unref(); };
        await exchange.loadHttpProxyAgent(); // without it ccxt refuses plain ws://
        return exchange;
    }

    async stop() {}
}

export class OwnVenue extends Venue {
    constructor(options = {}) {
        super('', '');
        this.options = options;
        this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'whale-paper-'));
        this.journal = path.join(this.directory, 'paper.journal');
        const replay = fs.readdirSync(path.join(root, 'conf/demo/market')).filter((name) => name.endsWith('.jsonl.gz'));
        fs.writeFileSync(path.join(this.directory, 'whale.conf'), [
            'whale_paper on;', 'whale_shm_users 1024;', 'whale_shm_positions 4096;',
            `whale_shm ${path.join(this.directory, 'segment')};`,
            ...replay.map((name) => `whale_paper_replay ${path.join(root, 'conf/demo/market', name)};`),
            `whale_paper_leaders ${path.join(root, 'conf/demo/leaders.json')};`,
            `whale_paper_journal ${this.journal};`, 'whale_paper_pace 3600s;', ...(options.directives ?? []), '',
        ].join('\n'));
    }

    async start() {
        this.child = spawn(workerd, ['role', 'paper', '-c', path.join(this.directory, 'whale.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
        this.exited = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve(signal ?? code)));
        this.log = '';
        this.child.stderr.setEncoding('utf8').on('data', (text) => { this.log += text; });
        let gone = false;
        this.exited.then(() => { gone = true; });
        const line = await until('the venue to listen', () => {
            if (gone) throw new Error(`the venue ended: ${this.log}`);
            return this.log.split('\n').find((text) => text.includes('"paper.listening"'));
        });
        const { rest_port: rest, stream_port: stream } = JSON.parse(line);
        this.http = `http://127.0.0.1:${rest}`;
        this.ws = `ws://127.0.0.1:${stream}`;
        return this.priced();
    }

    async kill(signal = 'SIGKILL') {
        this.child.kill(signal);
        return this.exited;
    }

    async stop() {
        const status = await this.kill('SIGTERM');
        fs.rmSync(this.directory, { recursive: true, force: true });
        return status;
    }
}

export function venue() {
    const { WHALE_PAPER_BINANCE_HTTP: http, WHALE_PAPER_BINANCE_WS: ws } = process.env;
    return http && ws ? new Venue(http, ws).priced() : new OwnVenue().start();
}
