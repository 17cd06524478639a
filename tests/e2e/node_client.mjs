// Clients of Node.js, one scenario a run: node node_client.mjs SCENARIO BASE_URL [CA_FILE]. Prints one JSON of what it found.
// The packages ws and undici come from EE_NODE_MODULES, the HTTP/2 client from Node itself.

import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import http2 from 'node:http2';
import {createRequire} from 'node:module';
import {Readable} from 'node:stream';

const packages = createRequire((process.env.EE_NODE_MODULES || process.cwd()) + '/');
const [scenario, base, caFile] = process.argv.slice(2);
const host = 'myapp.app.test';
const headers = {host};
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const patience = 20_000;

function within(promise, what) {
    let timer;
    const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`too late: ${what}`)), patience); });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// ---- ws ----------------------------------------------------------------------------------------------------

function socket(path, options = {}) {
    const WebSocket = packages('ws');
    const {protocols = [], ...rest} = options;
    return new WebSocket(base.replace('http', 'ws') + path, protocols, {headers, ...rest});
}

async function wsEcho() {
    const connection = socket('/ws', {protocols: ['other', 'echo'], maxPayload: 1 << 28});
    await within(once(connection, 'open'), 'open');
    const wrong = [];
    for (const size of [0, 1, 125, 126, 127, 65535, 65536, 65537, 1 << 20, 5 << 20]) {
        const bytes = randomBytes(size), text = 'é'.repeat(size >> 1);
        connection.send(bytes);
        const [gotBytes, isBinary] = await within(once(connection, 'message'), `binary of ${size}`);
        connection.send(text, {compress: true});
        const [gotText, isBinaryToo] = await within(once(connection, 'message'), `text of ${size}`);
        if (!isBinary || isBinaryToo || !gotBytes.equals(bytes) || gotText.toString() !== text) wrong.push(size);
    }
    connection.ping('alone');
    const [pong] = await within(once(connection, 'pong'), 'pong');
    connection.send('one ', {fin: false});
    connection.send('two', {fin: true});
    const [message] = await within(once(connection, 'message'), 'a message in fragments');
    const found = {wrong, pong: pong.toString(), fragments: message.toString(), protocol: connection.protocol,
                   extensions: connection.extensions};
    connection.send('close');
    const [code, reason] = await within(once(connection, 'close'), 'close');
    return {...found, code, reason: reason.toString()};
}

async function wsCloses() {
    const codes = {};
    for (const code of [1000, 1001, 1003, 1007, 1011, 3000, 4999]) {
        const connection = socket('/ws');
        await within(once(connection, 'open'), 'open');
        connection.close(code, `reason ${code}`);
        codes[code] = (await within(once(connection, 'close'), 'close'))[0];
    }
    const refused = socket('/nowhere');
    const [error] = await within(once(refused, 'error'), 'error');
    return {codes, refused: error.message};
}

async function wsMany() {
    const one = async (number) => {
        const connection = socket('/ws');
        await within(once(connection, 'open'), 'open');
        let got = 0;
        const all = new Promise((resolve) => connection.on('message', (message) => {
            if (message.toString() !== `${number}:${got}`) resolve(false);
            if (++got === 100) resolve(true);
        }));
        for (let i = 0; i < 100; ++i) connection.send(`${number}:${i}`);
        const right = await within(all, `messages of ${number}`);
        connection.close();
        await within(once(connection, 'close'), 'close');
        return right;
    };
    const results = await Promise.all(Array.from({length: 50}, (_, number) => one(number)));
    return {right: results.filter(Boolean).length};
}

// ---- undici ------------------------------------------------------------------------------------------------

async function* inPieces(bytes, size) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function undiciFetch() {
    const {Client, fetch} = packages('undici');
    // Its fetch takes no Host: the client's connection goes to the base, whatever the name in the URL is.
    const url = `http://${host}:${new URL(base).port}`;
    const {Agent} = packages('undici');
    const dispatcher = new Agent({connect: {lookup: (_, options, done) =>
        options.all ? done(null, [{address: '127.0.0.1', family: 4}]) : done(null, '127.0.0.1', 4)}});
    const bytes = randomBytes(3 << 20);
    const uploaded = await (await fetch(url + '/digest', {dispatcher, method: 'POST', duplex: 'half',
                                                          body: Readable.from(inPieces(bytes, 10_007))})).json();
    const echoed = await (await fetch(url + '/echo', {dispatcher, method: 'POST', duplex: 'half',
                                                      body: Readable.from(inPieces(bytes, 65_536))})).arrayBuffer();
    // The second piece is only written once the first has been read.
    const pieces = (await fetch(url + '/pieces/undici', {dispatcher})).body.getReader();
    const first = Buffer.from((await within(pieces.read(), 'first piece')).value).toString();
    await fetch(url + '/go/undici', {dispatcher, method: 'POST'});
    const second = Buffer.from((await within(pieces.read(), 'second piece')).value).toString();
    const aborted = new AbortController();
    const left = await fetch(url + '/pieces/aborted', {dispatcher, signal: aborted.signal});
    aborted.abort();
    const abort = await left.text().then(() => 'read', (error) => error.name);
    const form = new (packages('undici').FormData)();
    form.set('name', 'value');
    form.set('file', new Blob([bytes]), 'file.bin');
    const formed = await (await fetch(url + '/form', {dispatcher, method: 'POST', body: form})).json();
    await dispatcher.destroy();
    return {uploaded: uploaded.sha256 === sha256(bytes), chunked: uploaded.chunked,
            echoed: sha256(Buffer.from(echoed)) === sha256(bytes), first, second, abort, formed};
}

async function undiciPipelining() {
    const {Client} = packages('undici');
    const client = new Client(base, {pipelining: 20});
    let connections = 0;
    client.on('connect', () => ++connections);
    const one = async (number) => {
        const body = number % 3 === 0 ? randomBytes(number * 11) : null;
        const answer = await client.request({method: body ? 'PUT' : 'GET', path: body ? '/digest' : `/x/${number}`,
                                             headers, body});
        const text = await answer.body.text();
        return answer.statusCode === 200 && (body ? JSON.parse(text).sha256 === sha256(body) : text === 'ok GET');
    };
    const results = await within(Promise.all(Array.from({length: 300}, (_, number) => one(number))), 'all answers');
    await client.close();
    return {right: results.filter(Boolean).length, connections};
}

// ---- node:http2 --------------------------------------------------------------------------------------------

function ask(session, fields, options) {
    const stream = session.request({':authority': host, ...fields}, options);
    const found = {};
    stream.on('response', (answer) => { found.status = answer[':status']; });
    stream.on('trailers', (trailers) => { found.trailers = {...trailers}; });
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    found.ended = once(stream, 'close').then(() => { found.body = Buffer.concat(pieces); return found; });
    return {stream, found};
}

async function http2Client() {
    const session = http2.connect(base, caFile ? {ca: readFileSync(caFile), servername: host} : {});
    await within(once(session, 'remoteSettings'), 'settings');
    const alpn = session.alpnProtocol;
    const bytes = randomBytes(2 << 20);
    const upload = ask(session, {':method': 'POST', ':path': '/digest', te: 'trailers'}, {waitForTrailers: true});
    upload.stream.on('wantTrailers', () => upload.stream.sendTrailers({'x-asked': '1'}));
    upload.stream.end(bytes);
    const uploaded = await within(upload.found.ended, 'upload');

    const answers = await within(Promise.all(Array.from({length: 200}, (_, number) =>
        ask(session, {':path': `/x/${number}`}).found.ended)), '200 answers');

    const cancelled = ask(session, {':path': '/pieces/http2'});
    await within(once(cancelled.stream, 'data'), 'first piece');
    cancelled.stream.close(http2.constants.NGHTTP2_CANCEL);
    await within(cancelled.found.ended, 'cancelled');

    const trailers = await within(ask(session, {':path': '/trailers', te: 'trailers'}).found.ended, 'trailers');
    // What comes behind a cancelled stream is not harmed.
    const after = await within(ask(session, {':path': '/'}).found.ended, 'after');
    const ping = await within(new Promise((resolve) => session.ping((error) => resolve(error === null))), 'ping');
    session.close();
    await within(once(session, 'close'), 'close');
    return {alpn, uploaded: JSON.parse(uploaded.body).sha256 === sha256(bytes),
            answered: answers.filter((answer) => answer.status === 200 && answer.body.toString() === 'ok GET').length,
            cancelled: cancelled.stream.rstCode, trailers: trailers.trailers, body: trailers.body.toString(),
            after: after.status, ping};
}

const scenarios = {wsEcho, wsCloses, wsMany, undiciFetch, undiciPipelining, http2Client};
scenarios[scenario]().then((found) => { console.log(JSON.stringify(found)); process.exit(0); },
                           (error) => { console.error(error); process.exit(1); });
