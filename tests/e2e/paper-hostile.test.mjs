// What no honest client sends: the paper venue refuses it, says why where there is a way to, and goes on serving.
import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { OwnVenue, sleep, until } from './paper-venue.mjs';

let venue;
let account;

before(async () => {
    venue = await new OwnVenue().start();
    account = await venue.account();
});
after(async () => {
    const { body } = await venue.call('GET', '/paper/v1/status');
    assert.equal(body.stream_clients, 0, 'every client was let go');
    assert.equal(await venue.stop(), 0);
});

const address = (url) => { const { hostname, port } = new URL(url); return { host: hostname, port: Number(port) }; };

// A bare connection: what it got, and whether the other side has ended it.
function dial(url) {
    const socket = net.connect(address(url));
    socket.data = Buffer.alloc(0);
    socket.on('data', (part) => { socket.data = Buffer.concat([socket.data, part]); });
    socket.on('error', () => { socket.over = true; });
    socket.on('close', () => { socket.over = true; });
    socket.on('end', () => { socket.over = true; });
    return new Promise((resolve, reject) => { socket.once('connect', () => resolve(socket)); socket.once('error', reject); });
}
const text = (socket) => socket.data.toString('latin1');
const signed = (extra = '') => {
    const query = `symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.002${extra}&timestamp=${Date.now()}`;
    return `${query}&signature=${createHmac('sha256', account.secret_key).update(query).digest('hex')}`;
};
const post = (body, headers = '') => `POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: ${account.api_key}\r\nContent-Type: application/x-www-form-urlencoded\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;

describe('REST', () => {
    it('answers pipelined posts in order, each once', async () => {
        const socket = await dial(venue.http);
        const ids = Array.from({ length: 20 }, (_, i) => `pipe-${i}`);
        socket.write(ids.map((id) => post(signed(`&newClientOrderId=${id}`))).join(''));
        await until('all answers', () => text(socket).match(/"clientOrderId":"pipe-\d+"/g)?.length === ids.length);
        assert.deepEqual(text(socket).match(/pipe-\d+/g), ids);
        socket.destroy();
    });

    it('reads a body byte by byte, and one in chunks', async () => {
        const socket = await dial(venue.http);
        const request = post(signed());
        for (const part of request.match(/[^]{1,9}/g)) { socket.write(part); await sleep(1); }
        await until('the answer', () => text(socket).includes('"orderId"'));
        const body = signed();
        socket.write(`POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: ${account.api_key}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n${body.slice(0, 5)}\r\n${(body.length - 5).toString(16)}\r\n${body.slice(5)}\r\n0\r\n\r\n`);
        await until('the second answer', () => text(socket).match(/"orderId"/g)?.length === 2);
        socket.destroy();
    });

    for (const [what, headers] of [
        ['two differing lengths', 'Content-Length: 5\r\nContent-Length: 50\r\n'],
        ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
        ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'],
    ]) {
        it(`refuses ${what} and ends the connection`, async () => {
            const socket = await dial(venue.http);
            socket.write(`POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\n${headers}\r\n0\r\n\r\nGET /fapi/v1/time HTTP/1.1\r\nHost: x\r\n\r\n`);
            await until('the end', () => socket.over);
            assert.match(text(socket), /^HTTP\/1\.1 400 /);
            assert.ok(!text(socket).includes('serverTime'), 'what follows is not taken for a request');
        });
    }

    it('answers 413 to a megabyte instead of resetting', async () => {
        const socket = await dial(venue.http);
        socket.write(`POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n`);
        socket.write(Buffer.alloc(1048576, 'a'));
        await until('the answer', () => text(socket).startsWith('HTTP/1.1 413 '));
        socket.destroy();
    });

    it('cuts who goes on for ever', async () => {
        const socket = await dial(venue.http);
        socket.write('POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n');
        const part = Buffer.alloc(65536, 'a');
        const pour = () => { while (!socket.over && socket.write(part)); };
        socket.on('drain', pour);
        pour();
        await until('the cut', () => socket.over);
        assert.ok(socket.bytesWritten < 64 * 1048576);
    });

    it('refuses a long line and long headers', async () => {
        const long = await dial(venue.http);
        long.write(`GET /fapi/v1/time?a=${'x'.repeat(5000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await until('the answer', () => /^HTTP\/1\.1 414 /.test(text(long)) || long.over);
        const headers = await dial(venue.http);
        headers.write(`GET /fapi/v1/time HTTP/1.1\r\nHost: x\r\nX-A: ${'x'.repeat(20000)}\r\n\r\n`);
        await until('the answer', () => /^HTTP\/1\.1 4\d\d /.test(text(headers)) || headers.over);
        long.destroy();
        headers.destroy();
    });

    it('survives those who leave in the middle', async () => {
        for (const part of ['G', 'GET /fapi/v1/time', 'GET /fapi/v1/time HTTP/1.1\r\nHost: x\r\n', post(signed()).slice(0, -10), 'POST /fapi/v1/order HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n', '\0\0\0\0', `${'\xff'.repeat(300)}\r\n\r\n`]) {
            const socket = await dial(venue.http);
            socket.end(Buffer.from(part, 'latin1'));
            await sleep(5);
            socket.destroy();
        }
        assert.equal((await venue.call('GET', '/fapi/v1/ping')).status, 200);
    });

    it('takes nothing from nonsense', async () => {
        for (const target of ['/fapi/v1/order', '/fapi/v1/order?%', '/fapi/v1/order?a=%00', '/paper/v1/accounts', '/paper/v1/leaders/x/move', '/paper/v1/leaders/', '/paper/v1/faults', '/paper/v1/script', '/bapi/futures/v1/friendly/future/copy-trade/home-page/query-list']) {
            for (const body of ['', '{', '[]', '{"count":-1}', '{"count":20001}', '{"prefix":"../"}', '{"count":1e9}', '\0', '{"error_percent":"NaN"}', `[${'['.repeat(1000)}`]) {
                const answer = await fetch(venue.http + target, { method: 'POST', body, headers: { 'X-MBX-APIKEY': account.api_key } });
                assert.ok(answer.status < 500, `${target} ${body.slice(0, 20)}: ${answer.status}`);
                await answer.json();
            }
        }
        assert.equal((await venue.call('GET', `/paper/v1/accounts/${account.account}%2f..`)).status, 404);
    });

    it('serves more connections at once than a select could hold', async () => {
        const sockets = await Promise.all(Array.from({ length: 1500 }, () => dial(venue.http)));
        sockets.forEach((socket) => socket.write(post(signed())));
        await until('everybody’s answer', () => sockets.every((socket) => text(socket).includes('"orderId"') || text(socket).includes('-2019')));
        sockets.forEach((socket) => socket.destroy());
    });
});

// A websocket by hand, so that it can be wrong.
async function upgrade(target = '/ws', headers = {}) {
    const socket = await dial(venue.ws);
    const key = randomBytes(16).toString('base64');
    const all = { Host: 'x', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': key, 'Sec-WebSocket-Version': '13', ...headers };
    socket.key = key;
    socket.write(`GET ${target} HTTP/1.1\r\n${Object.entries(all).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
    return socket;
}
async function open(target) {
    const socket = await upgrade(target);
    await until('the upgrade', () => text(socket).includes('\r\n\r\n'));
    assert.match(text(socket), /^HTTP\/1\.1 101 /);
    const accept = createHash('sha1').update(`${socket.key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    assert.ok(text(socket).includes(`Sec-WebSocket-Accept: ${accept}`));
    return socket;
}
function frame(opcode, payload, { mask = true, fin = true, reserved = 0, length } = {}) {
    const data = Buffer.from(payload);
    const size = length ?? data.length;
    const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
    if (size < 126) head.push((mask ? 0x80 : 0) | size);
    else if (size < 65536) head.push((mask ? 0x80 : 0) | 126, size >> 8, size & 255);
    else { head.push((mask ? 0x80 : 0) | 127); const long = Buffer.alloc(8); long.writeBigUInt64BE(BigInt(size)); head.push(...long); }
    const key = mask ? randomBytes(4) : Buffer.alloc(0);
    return Buffer.concat([Buffer.from(head), key, mask ? data.map((byte, i) => byte ^ key[i % 4]) : data]);
}
// The frames after the handshake.
function frames(socket) {
    let at = socket.data.indexOf('\r\n\r\n') + 4;
    const found = [];
    while (at + 2 <= socket.data.length) {
        let size = socket.data[at + 1] & 127;
        let start = at + 2;
        if (size === 126) { size = socket.data.readUInt16BE(start); start += 2; } else if (size === 127) { size = Number(socket.data.readBigUInt64BE(start)); start += 8; }
        if (start + size > socket.data.length) break;
        found.push({ opcode: socket.data[at] & 15, payload: socket.data.subarray(start, start + size) });
        at = start + size;
    }
    return found;
}
const closed = async (socket, code) => {
    await until('the close', () => frames(socket).some(({ opcode }) => opcode === 8) || socket.over);
    const last = frames(socket).find(({ opcode }) => opcode === 8);
    assert.ok(last, 'a close frame came before the end');
    assert.equal(last.payload.readUInt16BE(0), code);
    await until('the end', () => socket.over);
    socket.destroy();
};

describe('websockets', () => {
    it('are refused where the handshake is wrong', async () => {
        for (const [headers, status] of [[{ Upgrade: null }, 400], [{ Connection: 'close' }, 400], [{ 'Sec-WebSocket-Key': null }, 400], [{ 'Sec-WebSocket-Key': 'short' }, 400], [{ 'Sec-WebSocket-Version': '8' }, 426]]) {
            const socket = await upgrade('/ws', headers);
            await until('the answer', () => text(socket).startsWith('HTTP/1.1 '));
            assert.match(text(socket), new RegExp(`^HTTP/1\\.1 ${status} `));
            socket.destroy();
        }
        for (const target of ['/', '/nothing', '/private/ws', '/private/ws?listenKey=x', '/public/wss']) {
            const socket = await upgrade(target);
            await until('the answer', () => text(socket).startsWith('HTTP/1.1 '));
            assert.match(text(socket), /^HTTP\/1\.1 404 /);
            socket.destroy();
        }
    });

    it('hear frames that came with the handshake', async () => {
        const socket = await dial(venue.ws);
        socket.write(Buffer.concat([
            Buffer.from(`GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Version: 13\r\n\r\n`),
            frame(1, '{"method":"LIST_SUBSCRIPTIONS","id":7}'), frame(9, 'early'),
        ]));
        await until('both answers', () => frames(socket).length >= 2);
        assert.equal(`${frames(socket).find(({ opcode }) => opcode === 1).payload}`, '{"result":[],"id":7}');
        assert.equal(`${frames(socket).find(({ opcode }) => opcode === 10).payload}`, 'early');
        socket.write(frame(8, Buffer.from([0x03, 0xe8])));
        await closed(socket, 1000);
    });

    it('put fragments together, with a ping in between', async () => {
        const socket = await open('/ws');
        socket.write(Buffer.concat([frame(1, '{"method":"LIST_', { fin: false }), frame(9, 'mid'), frame(0, 'SUBSCRIPTIONS","id":8}')]));
        await until('both answers', () => frames(socket).length >= 2);
        assert.deepEqual(frames(socket).map(({ payload }) => `${payload}`).sort(), ['mid', '{"result":[],"id":8}']);
        socket.destroy();
    });

    for (const [what, bytes, code] of [
        ['an unmasked frame', () => frame(1, '{}', { mask: false }), 1002],
        ['reserved bits', () => frame(1, '{}', { reserved: 4 }), 1002],
        ['an unknown opcode', () => frame(3, '{}'), 1002],
        ['a long control frame', () => frame(9, 'x'.repeat(126)), 1002],
        ['a continuation of nothing', () => frame(0, 'x'), 1002],
        ['text that is not UTF-8', () => frame(1, Buffer.from([0xc3, 0x28])), 1007],
        ['binary', () => frame(2, 'x'), 1003],
        ['a message that is too large', () => frame(1, 'x'.repeat(20000)), 1009],
        ['a length of a tebibyte', () => frame(1, 'x', { length: 2 ** 40 }), 1009],
        ['fragments that add up to too much', () => Buffer.concat([frame(1, 'x'.repeat(9000), { fin: false }), frame(0, 'x'.repeat(9000))]), 1009],
        ['more than ten messages a second', () => Buffer.concat(Array.from({ length: 30 }, () => frame(1, '{"method":"LIST_SUBSCRIPTIONS","id":1}'))), 1008],
    ]) {
        it(`close with ${code} on ${what}`, async () => {
            const socket = await open('/ws');
            socket.write(bytes());
            await closed(socket, code);
        });
    }

    it('drop who subscribes and does not read', async () => {
        const socket = await open('/ws/btcusdt@depth@0ms/ethusdt@depth@0ms/btcusdt@bookTicker/ethusdt@bookTicker/btcusdt@trade/ethusdt@trade/btcusdt@aggTrade');
        socket.pause();
        // our own replies count as well: asked for again and again, never read
        const ask = Buffer.concat(Array.from({ length: 9 }, () => frame(1, JSON.stringify({ method: 'SUBSCRIBE', params: ['btcusdt@trade'], id: 'x'.repeat(12000) }))));
        const asking = setInterval(() => socket.write(ask), 1100);
        try {
            await until('the drop', async () => (await venue.call('GET', '/paper/v1/status')).body.stream_clients === 0, 120000);
        } finally {
            clearInterval(asking);
            socket.destroy();
        }
    });

    it('let go of those who vanish', async () => {
        const sockets = await Promise.all(Array.from({ length: 200 }, () => open('/ws/btcusdt@bookTicker')));
        await until('somebody to hear something', () => sockets.every((socket) => frames(socket).length > 0));
        sockets.forEach((socket, i) => (i % 2 ? socket.destroy() : socket.resetAndDestroy()));
        await until('none to be left', async () => (await venue.call('GET', '/paper/v1/status')).body.stream_clients === 0);
    });
});
