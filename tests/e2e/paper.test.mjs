// Public clients trade on the paper venue over real sockets: what they read is what they would read from Binance.
import assert from 'node:assert/strict';
import { createHmac, webcrypto } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import ccxt from 'ccxt';
import { USDMClient } from 'binance';
import WebSocket from 'ws';
import { until, venue as open } from './paper-venue.mjs';

globalThis.crypto ??= webcrypto; // Node 18 lacks the global that the binance client signs with

const symbol = 'BTC/USDT:USDT';
let venue;
let account;
let exchange;

before(async () => {
    venue = await open();
    account = await venue.account();
    exchange = await venue.ccxt(account);
    await exchange.loadMarkets();
});
after(async () => {
    await exchange?.close();
    await venue?.stop();
});

describe('ccxt', () => {
    it('reads the instruments with their real filters', () => {
        const market = exchange.market(symbol);
        assert.equal(market.precision.price, 0.1);
        assert.equal(market.precision.amount, 0.001);
        assert.equal(market.limits.cost.min, 100);
        assert.ok(exchange.markets['ETH/USDT:USDT'].active);
    });

    it('reads a fresh account', async () => {
        const balance = await exchange.fetchBalance();
        assert.equal(balance.USDT.total, 10000);
        assert.equal(balance.USDT.free, 10000);
        assert.deepEqual(await exchange.fetchPositions(), []);
    });

    it('buys, asks by client id, and closes with reduce-only', async () => {
        const leverage = await exchange.setLeverage(5, symbol);
        assert.equal(`${leverage.leverage}`, '5');
        const id = `e2e-${Date.now()}`;
        const bought = await exchange.createOrder(symbol, 'market', 'buy', 0.012, undefined, { clientOrderId: id });
        assert.equal(bought.status, 'closed');
        assert.equal(bought.filled, 0.012);
        assert.ok(!('avgPrice' in bought.info) && !('cumQuote' in bought.info), 'a placement no longer tells them');
        assert.ok(BigInt(bought.id) > 2n ** 53n, 'ids do not fit a double');

        const asked = await exchange.fetchOrder(undefined, symbol, { origClientOrderId: id });
        assert.equal(asked.id, bought.id);
        assert.equal(asked.average, Number(asked.info.avgPrice));
        assert.ok(asked.average > 1000);

        const [position] = await exchange.fetchPositions([symbol]);
        assert.equal(position.contracts, 0.012);
        assert.equal(position.side, 'long');
        assert.equal(position.entryPrice, asked.average);
        assert.equal(position.initialMarginPercentage, 0.2);

        const [trade] = (await exchange.fetchMyTrades(symbol)).slice(-1);
        assert.equal(trade.order, bought.id);
        assert.equal(trade.price, asked.average);
        assert.equal(trade.fee.cost, Number((0.012 * asked.average * 0.0005).toFixed(8)));

        const sold = await exchange.createOrder(symbol, 'market', 'sell', 0.5, undefined, { reduceOnly: true });
        assert.equal(sold.filled, 0.012, 'cut down to the position');
        assert.deepEqual(await exchange.fetchPositions([symbol]), []);

        // and the money adds up: deposit + profit - fees = balance
        const trades = await exchange.fetchMyTrades(symbol);
        const sum = trades.reduce((total, row) => total + Number(row.info.realizedPnl) - row.fee.cost, 10000);
        assert.ok(Math.abs((await exchange.fetchBalance()).USDT.total - sum) < 1e-7);
    });

    it('rests a limit order, lists it, cancels it', async () => {
        const { bid } = await venue.call('GET', '/fapi/v1/ticker/bookTicker?symbol=BTCUSDT').then(({ body }) => ({ bid: Number(body.bidPrice) }));
        const order = await exchange.createOrder(symbol, 'limit', 'buy', 0.012, Math.floor(bid * 0.97));
        assert.equal(order.status, 'open');
        assert.deepEqual((await exchange.fetchOpenOrders(symbol)).map((row) => row.id), [order.id]);
        assert.equal((await exchange.cancelOrder(order.id, symbol)).status, 'canceled');
        assert.deepEqual(await exchange.fetchOpenOrders(symbol), []);
        await assert.rejects(exchange.cancelOrder(order.id, symbol), ccxt.OrderNotFound);
    });

    it('reads tickers and settings', async () => {
        assert.ok((await exchange.fetchTicker(symbol)).last > 1000);
        assert.ok(Math.abs(await exchange.fetchTime() - Date.now()) < 5000);
        assert.equal((await exchange.fetchPositionMode(symbol)).hedged, false);
        await assert.rejects(exchange.setMarginMode('cross', symbol), ccxt.MarginModeAlreadySet);
        await assert.rejects(exchange.setPositionMode(false), ccxt.OperationRejected);
    });

    it('maps refusals to its own errors', async () => {
        // ccxt reads some codes only off Binance's own host names: there the venue's code is what counts
        const refused = (promise, type, code) => assert.rejects(promise, (error) => error instanceof type && (!code || error.message.includes(`"code":${code}`)));
        const order = (params) => exchange.fapiPrivatePostOrder({ symbol: 'BTCUSDT', side: 'BUY', type: 'MARKET', quantity: '0.012', ...params });
        await refused(exchange.fetchOrder('9007199254740993999', symbol), ccxt.OrderNotFound, -2013);
        await refused(order({ quantity: '0.00001' }), ccxt.BadRequest, -1111);
        await refused(order({ symbol: 'NOPEUSDT' }), ccxt.BadSymbol, -1121);
        await refused(order({ side: 'HOLD' }), ccxt.BadRequest, -1117);
        await refused(order({ type: 'GUESS' }), ccxt.BadRequest, -1116);
        await refused(order({ type: 'STOP_MARKET', stopPrice: '1' }), ccxt.ExchangeError, -4120);
        await refused(order({ quantity: '0.001' }), ccxt.ExchangeError, -4164);
        await refused(order({ quantity: '100' }), ccxt.ExchangeError, -2019);
        await refused(order({ reduceOnly: 'true' }), ccxt.ExchangeError, -2022);
        await refused(order({ positionSide: 'LONG' }), ccxt.ExchangeError, -4061);
        await refused(order({ price: '1' }), ccxt.BadRequest, -1106);
        await refused(order({ quantity: '' }), ccxt.BadRequest, -1102);
        await refused(order({ newClientOrderId: 'a b' }), ccxt.ExchangeError, -4015);
        await refused(exchange.fapiPrivatePostLeverage({ symbol: 'BTCUSDT', leverage: 126 }), ccxt.BadRequest, -4028);
        const stranger = await venue.ccxt({ ...account, secret_key: `${account.secret_key.slice(1)}0` });
        await refused(stranger.fapiPrivateV3GetBalance(), ccxt.AuthenticationError, -1022);
        const unknown = await venue.ccxt({ ...account, api_key: 'f'.repeat(64) });
        await refused(unknown.fapiPrivateV3GetBalance(), ccxt.AuthenticationError, -2015);
        const malformed = await venue.ccxt({ ...account, api_key: 'short' });
        await refused(malformed.fapiPrivateV3GetBalance(), ccxt.AuthenticationError, -2014);
        const late = await venue.ccxt(account);
        late.nonce = () => Date.now() - 15000;
        await refused(late.fapiPrivateV3GetBalance(), ccxt.InvalidNonce, -1021);
        late.nonce = () => Date.now() + 15000;
        await refused(late.fapiPrivateV3GetBalance(), ccxt.InvalidNonce, -1021);
    });

    it('takes a used client id again, as Binance does', async () => {
        const params = { clientOrderId: `twice-${Date.now()}` };
        const first = await exchange.createOrder(symbol, 'market', 'buy', 0.012, undefined, params);
        const second = await exchange.createOrder(symbol, 'market', 'sell', 0.012, undefined, params);
        assert.notEqual(first.id, second.id);
        assert.equal((await exchange.fetchOrder(undefined, symbol, { origClientOrderId: params.clientOrderId })).id, second.id);
    });

    it('follows the streams', async () => {
        const quotes = await exchange.watchBidsAsks([symbol]);
        assert.ok(quotes[symbol].bid < quotes[symbol].ask);
        assert.ok(Math.abs(quotes[symbol].timestamp - Date.now()) < 5000, 'event times are of now');
        assert.ok((await exchange.watchMarkPrice(symbol)).markPrice > 1000);
        assert.ok((await exchange.watchTrades(symbol)).length > 0);
        assert.ok((await exchange.watchTicker(symbol)).last > 1000);
    });

    it('hears of its own orders', async () => {
        const heard = exchange.watchOrders(symbol);
        await until('the private stream', async () => Object.keys(exchange.clients).some((url) => url.includes('listenKey') && exchange.clients[url].isConnected));
        const order = await exchange.createOrder(symbol, 'market', 'buy', 0.012);
        const [update] = (await heard).slice(-1);
        assert.equal(update.id, order.id);
        assert.equal(update.status, 'closed');
    });
});

describe('the binance client, which puts everything into the query', () => {
    it('trades', async () => {
        const client = new USDMClient({ api_key: account.api_key, api_secret: account.secret_key, baseUrl: venue.http, disableTimeSync: true });
        const placed = await client.submitNewOrder({ symbol: 'ETHUSDT', side: 'SELL', type: 'MARKET', quantity: 0.05, newOrderRespType: 'RESULT' });
        assert.equal(placed.status, 'FILLED');
        const [position] = await client.getPositionsV3({ symbol: 'ETHUSDT' });
        assert.equal(Number(position.positionAmt), -0.05);
        await assert.rejects(client.submitNewOrder({ symbol: 'ETHUSDT', side: 'SELL', type: 'MARKET', quantity: 0.0001 }), (error) => error.code === -1111);
    });
});

describe('signed by hand', () => {
    const sign = (text) => createHmac('sha256', account.secret_key).update(text).digest('hex');
    const send = async (method, target, body) => {
        const answer = await fetch(venue.http + target, { method, body, headers: { 'X-MBX-APIKEY': account.api_key, 'Content-Type': 'application/x-www-form-urlencoded' } });
        return { status: answer.status, body: await answer.json(), headers: answer.headers };
    };

    it('the query and the body are one text, and the query wins', async () => {
        const query = 'symbol=ETHUSDT&side=BUY&type=MARKET';
        const body = `symbol=BTCUSDT&quantity=0.05&newOrderRespType=RESULT&timestamp=${Date.now()}`;
        const { status, body: order } = await send('POST', `/fapi/v1/order?${query}`, `${body}&signature=${sign(query + body)}`);
        assert.equal(status, 200);
        assert.equal(order.symbol, 'ETHUSDT');
        const wrong = await send('POST', `/fapi/v1/order?${query}`, `${body}&signature=${sign(`${query}&${body}`)}`);
        assert.deepEqual(wrong.body, { code: -1022, msg: 'Signature for this request is not valid.' });
    });

    it('answers ACK before the matching, and counts', async () => {
        const body = `symbol=ETHUSDT&side=SELL&type=MARKET&quantity=0.05&timestamp=${Date.now()}`;
        const { body: order, headers } = await send('POST', '/fapi/v1/order', `${body}&signature=${sign(body)}`);
        assert.equal(order.status, 'NEW');
        assert.equal(order.executedQty, '0.000');
        assert.ok(Number(headers.get('x-mbx-order-count-10s')) >= 1);
        assert.ok(Number(headers.get('x-mbx-used-weight-1m')) >= 0);
    });

    it('says in Binance’s words what is missing or late', async () => {
        const at = async (query) => (await send('GET', `/fapi/v3/balance?${query}&signature=${sign(query)}`)).body;
        assert.deepEqual(await at('recvWindow=5000'), { code: -1102, msg: "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed." });
        assert.deepEqual(await at(`timestamp=${Date.now() - 6000}`), { code: -1021, msg: 'Timestamp for this request is outside of the recvWindow.' });
        assert.deepEqual(await at(`timestamp=${Date.now() + 1500}`), { code: -1021, msg: "Timestamp for this request was 1000ms ahead of the server's time." });
        assert.equal((await at(`timestamp=${Date.now()}&recvWindow=60001`)).code, -1130);
        assert.equal((await at(`timestamp=${Date.now()}&timestamp=${Date.now()}`)).code, -1101);
        assert.deepEqual((await send('GET', `/fapi/v3/balance?timestamp=${Date.now()}`)).body, { code: -1102, msg: "Mandatory parameter 'signature' was not sent, was empty/null, or malformed." });
    });
});

describe('streams', () => {
    const connect = (target) => new Promise((resolve, reject) => {
        const socket = new WebSocket(venue.ws + target);
        socket.frames = [];
        socket.on('message', (data) => socket.frames.push(JSON.parse(data)));
        socket.once('open', () => resolve(socket));
        socket.once('error', reject);
    });
    const subscribe = async (socket, params, id = 1) => {
        socket.send(JSON.stringify({ method: 'SUBSCRIBE', params, id }));
        assert.deepEqual(await until('the reply', () => socket.frames.find((frame) => frame.id === id)), { result: null, id });
    };
    const seen = (socket, event) => socket.frames.some((frame) => (frame.data ?? frame).e === event);

    it('are parted by path: what is subscribed on the wrong one gives nothing', async () => {
        const names = ['btcusdt@bookTicker', 'btcusdt@depth@0ms', 'btcusdt@aggTrade', 'btcusdt@markPrice@1s'];
        const [open, market, legacy] = await Promise.all(['/public/ws', '/market/ws', '/ws'].map(connect));
        await Promise.all([open, market, legacy].map((socket) => subscribe(socket, names)));
        await until('all of them on the unprefixed path', () => ['bookTicker', 'depthUpdate', 'aggTrade', 'markPriceUpdate'].every((event) => seen(legacy, event)));
        await until('the book on /public', () => seen(open, 'bookTicker') && seen(open, 'depthUpdate'));
        await until('the rest on /market', () => seen(market, 'aggTrade') && seen(market, 'markPriceUpdate'));
        assert.ok(!seen(open, 'aggTrade') && !seen(open, 'markPriceUpdate'));
        assert.ok(!seen(market, 'bookTicker') && !seen(market, 'depthUpdate'));
        assert.equal(market.frames.find((frame) => frame.e === 'markPriceUpdate')['x-synthetic'], true);
        [open, market, legacy].forEach((socket) => socket.terminate());
    });

    it('come bare on /ws and wrapped on /stream', async () => {
        const [bare, wrapped] = await Promise.all(['/public/ws/btcusdt@bookTicker', '/public/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker'].map(connect));
        await until('both symbols', () => ['BTCUSDT', 'ETHUSDT'].every((name) => wrapped.frames.some((frame) => frame.data?.s === name)) && bare.frames.length > 0);
        assert.equal(bare.frames[0].e, 'bookTicker');
        assert.match(wrapped.frames[0].stream, /^(btc|eth)usdt@bookTicker$/);
        bare.terminate();
        wrapped.terminate();
    });

    it('can be listed and left', async () => {
        const socket = await connect('/public/ws');
        await subscribe(socket, ['btcusdt@bookTicker', 'ethusdt@depth@0ms', 'nope@bookTicker']);
        socket.send('{"method":"LIST_SUBSCRIPTIONS","id":"list"}');
        const list = await until('the list', () => socket.frames.find((frame) => frame.id === 'list'));
        assert.deepEqual(list.result.sort(), ['btcusdt@bookTicker', 'ethusdt@depth@0ms']);
        socket.send('{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker","ethusdt@depth@0ms"],"id":3}');
        await until('the reply', () => socket.frames.find((frame) => frame.id === 3));
        socket.send('{"method":"LIST_SUBSCRIPTIONS","id":4}');
        assert.deepEqual((await until('the list', () => socket.frames.find((frame) => frame.id === 4))).result, []);
        socket.send('nonsense');
        assert.equal((await until('the error', () => socket.frames.find((frame) => frame.error))).error.code, 3);
        socket.terminate();
    });

    it('answer a ping', async () => {
        const socket = await connect('/ws');
        const pong = new Promise((resolve) => socket.once('pong', (data) => resolve(`${data}`)));
        socket.ping('here?');
        assert.equal(await pong, 'here?');
        socket.terminate();
    });
});

describe('lead traders', () => {
    const pages = '/bapi/futures/v1/friendly/future/copy-trade';
    const rows = async (id) => (await venue.call('GET', `${pages}/lead-data/positions?portfolioId=${id}`)).body;

    it('are listed with what the page shows', async () => {
        const { body } = await venue.call('POST', `${pages}/home-page/query-list`, { pageNumber: 1, pageSize: 2, timeRange: '30D', dataType: 'ROI', order: 'DESC' });
        assert.equal(body.code, '000000');
        assert.equal(body.data.list.length, 2);
        assert.ok(body.data.list[0].roi >= body.data.list[1].roi);
        const { body: detail } = await venue.call('GET', `${pages}/lead-portfolio/detail?portfolioId=${body.data.list[0].leadPortfolioId}`);
        assert.equal(detail.data.positionShow, true);
        assert.ok(detail.data.marginBalance > 0);
    });

    it('show three rows for every symbol, move, and hide', async () => {
        const { leaders } = (await venue.call('GET', '/paper/v1/leaders')).body;
        const leader = leaders.find((row) => row.position_mode === 'one_way' && row.scripted);
        const move = (action, extra) => venue.call('POST', `/paper/v1/leaders/${leader.id}/move`, { symbol: 'ETHUSDT', action, side: 'SHORT', fraction: '0.2', ...extra });
        const both = async () => (await rows(leader.id)).data.find((row) => row.symbol === 'ETHUSDT' && row.positionSide === 'BOTH');
        await venue.call('POST', '/paper/v1/script', { running: false });
        if (Number((await both()).positionAmount) !== 0) await move('close');
        assert.equal((await move('open', { leverage: 7 })).status, 200);
        const opened = await both();
        assert.ok(Number(opened.positionAmount) < 0);
        assert.equal(opened.leverage, 7);
        assert.equal((await move('open')).status, 409);
        await move('flip');
        assert.equal(Number((await both()).positionAmount), -Number(opened.positionAmount));
        await move('close');
        assert.equal(Number((await both()).positionAmount), 0);
        const { body: history } = await venue.call('POST', `${pages}/lead-portfolio/order-history`, { portfolioId: leader.id, pageSize: 3 });
        assert.deepEqual(history.data.list.map((row) => row.side), ['SELL', 'BUY', 'SELL']);

        const page = (await rows(leader.id)).data;
        assert.deepEqual([...new Set(page.map((row) => row.symbol))].map((name) => page.filter((row) => row.symbol === name).map((row) => row.positionSide)).flat(), [...new Set(page.map((row) => row.symbol))].flatMap(() => ['BOTH', 'LONG', 'SHORT']));
        await venue.call('POST', `/paper/v1/leaders/${leader.id}/hide`, { hidden: true });
        assert.deepEqual((await rows(leader.id)).data, [], 'empty, and still a success');
        await venue.call('POST', `/paper/v1/leaders/${leader.id}/hide`, { hidden: false });
        assert.ok((await rows(leader.id)).data.length > 0);
        assert.equal((await rows('1')).success, false);
    });
});
