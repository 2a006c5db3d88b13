// A stand-in for the Bot API: the real paths and JSON shapes, over real HTTP.
//
//   node tests/support/telegram.mjs [--port N] [--token-file FILE]      prints its port
//
// It checks sendMessage as the Bot API does (chat_id, text of 1 to 4096 characters, HTML entities) and can be told to
// refuse: POST /_behave {"limit":n,"retry_after":s} answers the next n calls with 429; {"block":chat_id} with 403;
// {"fail":n} with 500. GET /_sent lists what was sent, oldest first.
import fs from 'node:fs';
import http from 'node:http';

const option = (name, fallback) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? fallback : process.argv[at + 1];
};
const tokenFile = option('token-file', null); // not on the command line, where ps would show it
const token = tokenFile === null ? null : fs.readFileSync(tokenFile, 'utf8').trim();
const sent = [];
const calls = [];
const behaviour = { limit: 0, retry_after: 1, fail: 0, blocked: new Set() };
const maximumBody = 1 << 20;
let nextMessage = 1;

const entities = /&(?!(?:amp|lt|gt|quot|#\d+|#x[0-9a-fA-F]+);)/;
const tags = /<(?!\/?(?:b|strong|i|em|u|s|code|pre|a|tg-spoiler|blockquote)\b[^<>]*>)/;

const refuse = (status, description, parameters) => ({ status, body: { ok: false, error_code: status, description, ...(parameters ? { parameters } : {}) } });

function sendMessage(parameters) {
    const chat = Number(parameters.chat_id);
    if (!Number.isSafeInteger(chat) || chat === 0) return refuse(400, 'Bad Request: chat_id is empty');
    if (behaviour.blocked.has(chat)) return refuse(403, 'Forbidden: bot was blocked by the user');
    const text = typeof parameters.text === 'string' ? parameters.text : '';
    if (!text.trim()) return refuse(400, 'Bad Request: message text is empty');
    const shown = parameters.parse_mode === 'HTML' ? text.replace(/<[^>]*>/g, '') : text;
    if (shown.length > 4096) return refuse(400, 'Bad Request: message is too long');
    if (parameters.parse_mode === 'HTML') {
        const wrong = Math.max(text.search(entities), text.search(tags));
        if (wrong >= 0) return refuse(400, `Bad Request: can't parse entities: unsupported start tag at byte offset ${wrong}`);
    }
    const message = { message_id: nextMessage++, date: Math.floor(Date.now() / 1000), chat: { id: chat, type: 'private' }, text: shown };
    sent.push({ at: Date.now(), chat_id: chat, text, parse_mode: parameters.parse_mode ?? null });
    return { status: 200, body: { ok: true, result: message } };
}

function call(path, parameters) {
    const match = /^\/bot([^/]+)\/([A-Za-z]+)$/.exec(path);
    if (!match) return refuse(404, 'Not Found');
    if (token !== null && match[1] !== token) return refuse(401, 'Unauthorized');
    calls.push(match[2]);
    if (behaviour.fail > 0) { behaviour.fail--; return refuse(500, 'Internal Server Error'); }
    if (behaviour.limit > 0) {
        behaviour.limit--;
        return refuse(429, `Too Many Requests: retry after ${behaviour.retry_after}`, { retry_after: behaviour.retry_after });
    }
    const method = match[2].toLowerCase();
    if (method === 'getme') return { status: 200, body: { ok: true, result: { id: Number((token ?? '7').split(':')[0]), is_bot: true, first_name: 'Whale', username: 'whale_stand_in_bot' } } };
    if (method === 'sendmessage') return sendMessage(parameters);
    return refuse(404, 'Not Found: method not found');
}

function control(request, parameters) {
    if (request.method === 'GET' && request.url === '/_sent') return { status: 200, body: sent };
    if (request.method === 'GET' && request.url === '/_calls') return { status: 200, body: calls };
    if (request.method === 'POST' && request.url === '/_behave') {
        for (const name of ['limit', 'retry_after', 'fail']) if (name in parameters) behaviour[name] = Number(parameters[name]);
        if (parameters.block) behaviour.blocked.add(Number(parameters.block));
        if (parameters.unblock) behaviour.blocked.delete(Number(parameters.unblock));
        return { status: 200, body: { ok: true } };
    }
    return null;
}

function parse(request, text) {
    if (!text) return Object.fromEntries(new URL(request.url, 'http://x').searchParams);
    if ((request.headers['content-type'] ?? '').startsWith('application/json')) return JSON.parse(text);
    return Object.fromEntries(new URLSearchParams(text));
}

const server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => { text += chunk; if (text.length > maximumBody) request.destroy(); });
    request.on('end', () => {
        let answer;
        try {
            const parameters = parse(request, text);
            answer = control(request, parameters) ?? call(request.url.split('?')[0], parameters);
        } catch {
            answer = refuse(400, 'Bad Request: can\'t parse JSON');
        }
        const body = JSON.stringify(answer.body);
        const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
        if (answer.body.parameters?.retry_after) headers['Retry-After'] = String(answer.body.parameters.retry_after);
        response.writeHead(answer.status, headers).end(body);
    });
});
server.listen(Number(option('port', 0)), '127.0.0.1', () => console.log(server.address().port));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
