// A whole Whale on loopback for the demo, the end-to-end tests, the fault rounds and the benches: its own Postgres,
// nginx with the module, workerd, and a stand-in for the Bot API, in one directory, on free ports.
//
// Promises: touches nothing of the system's own servers; as root, every server runs as an unprivileged user;
// `stop` leaves no process behind, whatever state the parts are in.
import { spawn, spawnSync, execFileSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const postgresBin = '/usr/lib/postgresql/15/bin';
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Free loopback ports, all held open until each is known, so that none is given twice.
export async function freePorts(count) {
    const servers = [];
    for (let i = 0; i < count; i++) {
        const server = net.createServer();
        await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
        servers.push(server);
    }
    const ports = servers.map((server) => server.address().port);
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    return ports;
}

// The user that servers run as: ourselves, or, as root, Debian's postgres user.
function serverUser() {
    if (process.getuid() !== 0) return {};
    const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' })));
    return { uid, gid };
}

export class House {
    constructor(directory, options = {}) {
        this.directory = path.resolve(directory);
        this.options = {
            workers: 2, tradeProcesses: 1, watchInterval: '1s', pace: '6s', seed: 1, fsync: true, flavour: 'release',
            paperBalance: 10000, directives: '', telegram: true, replay: true, postgres: '', ...options,
        };
        this.user = serverUser();
        this.children = new Map();
        this.launched = new Set(); // and not stopped since: one that is missing has ended by itself
    }

    at(...parts) {
        return path.join(this.directory, ...parts);
    }

    // ---- life -------------------------------------------------------------------------------------------------
    async start() {
        await this.prepare();
        await this.startPostgres();
        this.migrate();
        if (this.options.telegram) await this.startTelegram();
        this.startWorkerd();
        this.startNginx();
        await this.waitHealthy();
        await this.waitForPrices();
    }

    // One house a directory at a time. What a killed one left behind is ended first.
    claim() {
        this.lock = `${this.directory}.lock`;
        for (let attempt = 0; attempt < 2; attempt++) {
            try {
                fs.writeFileSync(this.lock, String(process.pid), { flag: 'wx' });
                return this.endLeftovers();
            } catch (error) {
                if (error.code !== 'EEXIST') throw error;
            }
            const owner = Number(fs.readFileSync(this.lock, 'utf8'));
            let alive = true;
            try { process.kill(owner, 0); } catch (error) { alive = error.code === 'EPERM'; }
            if (alive && owner) {
                this.lock = null;
                throw new Error(`${this.directory} is in use by process ${owner}: end that one first`);
            }
            fs.rmSync(this.lock, { force: true });
        }
        throw new Error(`${this.lock} cannot be taken`);
    }

    // Servers of an earlier house in this directory, known by their command lines.
    endLeftovers() {
        const conf = this.at('whale.conf');
        const segment = fs.existsSync(conf) && /^whale_shm (\/dev\/shm\/whale-[\w-]+);/m.exec(fs.readFileSync(conf, 'utf8'));
        if (segment) fs.rmSync(segment[1], { force: true });
        for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
            let line = '';
            try { line = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'); } catch { continue; }
            if (line.includes(`${this.directory}/`) && /postgres|nginx|workerd|whale|telegram\.mjs/.test(line)) {
                try { process.kill(Number(pid), line.includes('/postgres') ? 'SIGQUIT' : 'SIGKILL'); } catch { /* gone already */ }
            }
        }
    }

    async prepare() {
        this.claim();
        fs.rmSync(this.directory, { recursive: true, force: true });
        for (const part of ['', 'keys', 'log', 'pg', 'nginx']) fs.mkdirSync(this.at(part), { recursive: true, mode: 0o700 });
        const [http, ops, paperHttp, paperWs, telegram] = await freePorts(5);
        this.ports = { http, ops, paperHttp, paperWs, telegram };
        this.urls = {
            http: `http://127.0.0.1:${http}`, ops: `http://127.0.0.1:${ops}`,
            paperHttp: `http://127.0.0.1:${paperHttp}`, paperWs: `ws://127.0.0.1:${paperWs}`,
            telegram: `http://127.0.0.1:${telegram}`,
        };
        this.socketDirectory = fs.mkdtempSync('/tmp/whale-pg-'); // socket paths are limited to 107 bytes
        this.shm = `/dev/shm/whale-${process.pid}-${randomBytes(4).toString('hex')}`;
        this.pg = `host=${this.socketDirectory} dbname=whale user=whale`;
        this.botToken = `7000000001:${randomBytes(24).toString('base64url').slice(0, 35)}`;
        this.webhookSecret = randomBytes(24).toString('base64url');
        this.writeKeys();
        this.writeConfiguration();
        if (this.user.uid !== undefined) {
            execFileSync('chown', ['-R', `${this.user.uid}:${this.user.gid}`, this.directory, this.socketDirectory]);
            if (this.runAs('test', ['-x', this.at('log')]).status !== 0) {
                throw new Error(`${this.directory} cannot be reached by the unprivileged user that the servers run as: ` +
                    'move the checkout out of a private directory, or run as an ordinary user');
            }
        }
    }

    writeKeys() {
        const keys = this.at('keys');
        const workerd = this.workerd();
        const made = spawnSync(workerd, ['keys', keys], { encoding: 'utf8' });
        if (made.status !== 0) throw new Error(`workerd keys: ${made.stderr}`);
        fs.writeFileSync(this.at('keys', 'bot-token'), `${this.botToken}\n`, { mode: 0o600 });
        fs.writeFileSync(this.at('keys', 'webhook-secret'), `${this.webhookSecret}\n`, { mode: 0o600 });
        const initDataKey = createHmac('sha256', 'WebAppData').update(this.botToken).digest('hex');
        fs.writeFileSync(this.at('keys', 'init-data-key'), `${initDataKey}\n`, { mode: 0o600 });
    }

    writeConfiguration() {
        const { workers, tradeProcesses, watchInterval, pace, seed, paperBalance, directives, replay } = this.options;
        const keys = this.at('keys');
        const replays = replay
            ? fs.readdirSync(path.join(root, 'conf/demo/market')).filter((f) => f.endsWith('.gz'))
                .map((f) => `whale_paper_replay ${path.join(root, 'conf/demo/market', f)};`).join('\n') : '';
        const paper = `whale_paper on;
whale_paper_listen 127.0.0.1:${this.ports.paperHttp};
whale_paper_stream_listen 127.0.0.1:${this.ports.paperWs};
${replays}
whale_paper_leaders ${path.join(root, 'conf/demo/leaders.json')};
whale_paper_journal ${this.at('paper.journal')};
whale_paper_seed ${seed};
whale_paper_pace ${pace};
whale_paper_balance ${paperBalance};`;
        fs.writeFileSync(this.at('whale.conf'), `# Written for this run; both nginx and workerd read it.
whale_database "host=${this.socketDirectory} dbname=whale user=whale_worker";
whale_web_database "host=${this.socketDirectory} dbname=whale user=whale_web";
whale_shm ${this.shm};
whale_venue binance:usdm rest=${this.urls.paperHttp} stream=${this.urls.paperWs} leaders=${this.urls.paperHttp} account=${this.urls.paperHttp};
whale_watch_interval ${watchInterval};
whale_trade_processes ${tradeProcesses};
whale_telegram_url ${this.urls.telegram};
whale_bot_token_file ${keys}/bot-token;
whale_webhook_secret_file ${keys}/webhook-secret;
whale_init_data_key_file ${keys}/init-data-key;
whale_session_key_file ${keys}/session.key;
whale_seal_public_key_file ${keys}/seal.public;
whale_seal_private_key_file ${keys}/seal.private;
whale_master_key_file ${keys}/master.key;
${paper}
${directives}
`);
        fs.writeFileSync(this.at('nginx.conf'), `daemon off;
worker_processes ${workers};
pid ${this.at('nginx/nginx.pid')};
error_log stderr notice;
load_module ${path.join(root, 'build/module/ngx_http_whale_module.so')};
worker_shutdown_timeout 5s;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path ${this.at('nginx/body')};
    proxy_temp_path ${this.at('nginx/proxy')};
    fastcgi_temp_path ${this.at('nginx/fastcgi')};
    uwsgi_temp_path ${this.at('nginx/uwsgi')};
    scgi_temp_path ${this.at('nginx/scgi')};
    client_max_body_size 64k;
    client_body_buffer_size 64k;
    keepalive_requests 1000000;
    include ${this.at('whale.conf')};
    server {
        listen 127.0.0.1:${this.ports.http};
        location / { whale_api; }
        location = /webhook/telegram { whale_webhook; }
    }
    server {
        listen 127.0.0.1:${this.ports.ops};
        location / { whale_operator; }
    }
}
`);
    }

    workerd() {
        return path.join(root, 'build', this.options.flavour, 'workerd');
    }

    runAs(command, args, options = {}) {
        return spawnSync(command, args, { encoding: 'utf8', ...this.user, ...options });
    }

    launch(name, command, args, options = {}) {
        const log = fs.openSync(this.at('log', `${name}.log`), 'a');
        const child = spawn(command, args, { stdio: ['ignore', log, log], cwd: this.directory, ...this.user, ...options });
        fs.closeSync(log);
        child.exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
        child.once('exit', () => { if (this.children.get(name) === child) this.children.delete(name); });
        child.once('error', (error) => { child.failure = error; });
        this.children.set(name, child);
        this.launched.add(name);
        return child;
    }

    async startPostgres() {
        const data = this.at('pg/data');
        if (!fs.existsSync(data)) {
            const made = this.runAs(`${postgresBin}/initdb`, ['-D', data, '-U', 'whale', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N']);
            if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
            fs.appendFileSync(path.join(data, 'postgresql.conf'), `
listen_addresses = ''
unix_socket_directories = '${this.socketDirectory}'
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 256MB
max_wal_size = 2GB
fsync = ${this.options.fsync ? 'on' : 'off'}
client_connection_check_interval = 500
log_min_messages = warning
${this.options.postgres}
`);
        }
        this.launch('postgres', `${postgresBin}/postgres`, ['-D', data]);
        await this.until('Postgres', () => this.runAs(`${postgresBin}/pg_isready`, ['-q', '-h', this.socketDirectory]).status === 0);
        if (this.sql("select 1 from pg_database where datname = 'whale'", 'postgres') === '') this.sql('create database whale', 'postgres');
    }

    migrate() {
        const done = this.runAs(this.workerd(), ['migrate', '-c', this.at('whale.conf'), '--owner', this.pg]);
        if (done.status !== 0) throw new Error(`workerd migrate: ${done.stderr}${done.stdout}`);
    }

    async startTelegram() {
        this.launch('telegram', process.execPath, [path.join(root, 'tests/support/telegram.mjs'), '--port', String(this.ports.telegram), '--token-file', this.at('keys/bot-token')]);
    }

    startWorkerd() {
        return this.launch('workerd', this.workerd(), ['-c', this.at('whale.conf')]);
    }

    startNginx() {
        return this.launch('nginx', '/usr/sbin/nginx', ['-e', 'stderr', '-p', this.at('nginx'), '-c', this.at('nginx.conf')], this.options.nginxEnv ? { env: { ...process.env, ...this.options.nginxEnv } } : {});
    }

    async waitHealthy(timeoutMs = 30000) {
        await this.until('a healthy answer', async () => {
            const answer = await this.fetchJson(`${this.urls.ops}/health/ready`).catch(() => null);
            return answer?.status === 200;
        }, timeoutMs);
    }

    // Instruments are listed, subscribed, and priced: an entry without a price would rightly be refused.
    async waitForPrices() {
        for (const symbol of this.options.replay ? ['BTCUSDT', 'ETHUSDT'] : []) {
            await this.until(`a price of ${symbol}`, async () => {
                const answer = await this.fetchJson(`${this.urls.http}/api/v1/prices/binance/usdm/${symbol}`).catch(() => null);
                return answer?.status === 200 && !answer.body.stale;
            });
        }
    }

    async until(what, condition, timeoutMs = 30000) {
        const end = Date.now() + timeoutMs;
        for (;;) {
            const value = await condition();
            if (value) return value;
            for (const name of ['postgres', 'workerd', 'nginx']) {
                if (this.launched.has(name) && !this.children.has(name)) throw new Error(`${name} ended while waiting for ${what}\n${this.tail(name)}`);
            }
            if (Date.now() > end) throw new Error(`waited ${timeoutMs / 1000} s for ${what}\n${this.tail('workerd')}\n${this.tail('nginx')}`);
            await sleep(50);
        }
    }

    tail(name, lines = 15) {
        try {
            return `--- ${name}.log\n` + fs.readFileSync(this.at('log', `${name}.log`), 'utf8').trim().split('\n').slice(-lines).join('\n');
        } catch {
            return '';
        }
    }

    async stopOne(name, signal = 'SIGTERM', graceMs = 12000) {
        this.launched.delete(name);
        const child = this.children.get(name);
        if (!child || child.exitCode !== null) return;
        child.kill(signal);
        const ended = await Promise.race([child.exited, sleep(graceMs).then(() => null)]);
        if (!ended) {
            child.kill('SIGKILL');
            await child.exited;
        }
    }

    async stop() {
        await this.stopOne('nginx', 'SIGQUIT', 8000);
        await this.stopOne('workerd');
        await this.stopOne('telegram');
        await this.stopOne('postgres', 'SIGINT');
        fs.rmSync(this.socketDirectory ?? '', { recursive: true, force: true });
        if (this.shm) fs.rmSync(this.shm, { force: true });
        if (this.lock) fs.rmSync(this.lock, { force: true });
    }

    // ---- talking to it ------------------------------------------------------------------------------------------
    sql(text, database = 'whale') {
        const run = this.runAs('psql', ['-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-h', this.socketDirectory, '-U', 'whale', '-d', database, '-c', text],
            { maxBuffer: 1 << 28 });
        if (run.status !== 0) throw new Error(`psql: ${run.stderr}\n${text}`);
        return run.stdout.trim();
    }

    async fetchJson(url, options = {}) {
        const answer = await fetch(url, { signal: AbortSignal.timeout(15000), ...options });
        const text = await answer.text();
        let body = null;
        try { body = text ? JSON.parse(text) : null; } catch { body = text; }
        return { status: answer.status, headers: answer.headers, body };
    }

    // initData as Telegram would sign it for this user.
    initData(user, authDate = Math.floor(Date.now() / 1000)) {
        const pairs = {
            auth_date: String(authDate), query_id: 'AAHdF6IQAAAAAN0XohDhrOrc',
            user: JSON.stringify({ id: user.telegramId, first_name: user.name, username: user.name.toLowerCase(), language_code: 'en' }),
        };
        const text = Object.keys(pairs).sort().map((key) => `${key}=${pairs[key]}`).join('\n');
        const key = createHmac('sha256', 'WebAppData').update(this.botToken).digest();
        const hash = createHmac('sha256', key).update(text).digest('hex');
        return new URLSearchParams({ ...pairs, hash }).toString();
    }

    async api(user, method, target, body) {
        const headers = { 'X-Telegram-Init-Data': this.initData(user) };
        if (body !== undefined) headers['Content-Type'] = 'application/json';
        return this.fetchJson(this.urls.http + target, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    }

    async paper(method, target, body) {
        const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
        const answer = await this.fetchJson(this.urls.paperHttp + target, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
        if (answer.status >= 300) throw new Error(`paper venue ${method} ${target}: ${answer.status} ${JSON.stringify(answer.body)}`);
        return answer.body;
    }

    async webhook(update) {
        return this.fetchJson(`${this.urls.http}/webhook/telegram`, {
            method: 'POST', body: JSON.stringify(update),
            headers: { 'Content-Type': 'application/json', 'X-Telegram-Bot-Api-Secret-Token': this.webhookSecret },
        });
    }

    // A follower as a trader would become one: signs in, connects a paper account, follows. The plan is the
    // operator's to give until subscriptions can be bought.
    async addFollower(user, account, whaleId, follow, tier = 'PRO') {
        const signIn = await this.api(user, 'POST', '/api/v1/auth/telegram');
        if (signIn.status !== 200) throw new Error(`sign-in of ${user.name}: ${signIn.status} ${JSON.stringify(signIn.body)}`);
        this.sql(`update users set tier = '${tier}' where telegram_id = ${Number(user.telegramId)}`);
        const key = await this.api(user, 'POST', '/api/v1/users/me/api-keys',
            { venue: 'binance', label: account.account, api_key: account.api_key, secret: account.secret_key });
        if (key.status !== 201) throw new Error(`API key of ${user.name}: ${key.status} ${JSON.stringify(key.body)}`);
        const followed = await this.api(user, 'POST', `/api/v1/whales/${whaleId}/follow`, follow);
        if (followed.status >= 300) throw new Error(`follow of ${user.name}: ${followed.status} ${JSON.stringify(followed.body)}`);
    }

    // Many followers at once: rows by SQL, keys through the API, as the module must seal them. Tier ELITE.
    async addCrowd(count, whaleId, { sizeKind = 'FIXED', sizeValue = '50', leverage = 5, concurrency = 32, balance = '10000', first = 800000000 } = {}) {
        const accounts = [];
        for (let made = 0; made < count; made += 5000) {
            const part = await this.paper('POST', '/paper/v1/accounts', { count: Math.min(5000, count - made), prefix: `crowd${first + made}`, balance });
            accounts.push(...part.accounts);
        }
        this.sql(`insert into users (telegram_id, username, tier) select ${first} + i, 'crowd' || i, 'ELITE' from generate_series(0, ${count - 1}) i;
            insert into user_settings (user_id, maximum_leverage) select id, 125 from users where telegram_id between ${first} and ${first + count - 1};
            insert into follows (user_id, whale_id, size_kind, size_value, leverage, copy_leverage)
            select id, ${Number(whaleId)}, '${sizeKind}', ${sizeValue}, ${leverage}, false from users where telegram_id between ${first} and ${first + count - 1} order by id`);
        let next = 0;
        const connect = async () => {
            while (next < count) {
                const i = next++;
                const user = { name: `crowd${i}`, telegramId: first + i };
                const answer = await this.api(user, 'POST', '/api/v1/users/me/api-keys',
                    { venue: 'binance', label: accounts[i].account, api_key: accounts[i].api_key, secret: accounts[i].secret_key });
                if (answer.status !== 201) throw new Error(`API key of ${user.name}: ${answer.status} ${JSON.stringify(answer.body)}`);
            }
        };
        await Promise.all(Array.from({ length: concurrency }, connect));
        await this.until('the accounts to be verified', () => this.sql(`select count(*) from venue_accounts a join users u on u.id = a.user_id
            where a.state = 'ACTIVE' and u.telegram_id between ${first} and ${first + count - 1}`) === String(count), 300000);
        return accounts;
    }

    // Processes of workerd's roles, by name: { feed: [pid], trade: [pid, pid] … }, and the master.
    roles() {
        const answer = this.runAs(this.workerd(), ['status', '--json', '-c', this.at('whale.conf')]);
        const roles = {};
        for (const row of JSON.parse(answer.stdout).processes) (roles[row.role] ??= []).push(row.pid);
        return roles;
    }
}
