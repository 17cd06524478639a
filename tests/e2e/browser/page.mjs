// What the page does when the test asks: each function's promise is settled with what it found.

import {random, same, sha256} from './bytes.mjs';

const name = () => crypto.randomUUID();
const event = (target, what) => new Promise((resolve) => target.addEventListener(what, resolve, {once: true}));
const post = (path, body) => fetch(path, {method: 'POST', body});

// ---- Parts of the page ----

async function pictures(count) {
    const all = Array.from({length: count}, (_, number) => {
        const picture = new Image();
        picture.src = `/files/picture.svg?${number}`;
        return picture.decode().then(() => document.body.append(picture)).then(() => picture.naturalWidth);
    });
    return Promise.all(all);
}

function parts() {
    return performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/files/')).map((entry) => ({
        path: new URL(entry.name).pathname, protocol: entry.nextHopProtocol, status: entry.responseStatus,
        bytes: entry.decodedBodySize}));
}

// ---- Events ----

async function turns() {
    const id = name(), source = new EventSource(`/turns/${id}`), times = [];
    await new Promise((resolve, reject) => {
        source.onerror = () => reject(new Error('the stream broke'));
        source.addEventListener('over', resolve);
        source.onmessage = ({data}) => {
            const came = performance.now();
            setTimeout(() => {  // Whatever came together with it is told before this.
                times.push({data, came, asked: performance.now()});
                post(`/turn/${id}`);
            });
        };
    });
    source.close();
    return times;
}

async function comesAgain(wanted) {
    const source = new EventSource('/events'), ids = [];
    await new Promise((resolve) => {
        source.onmessage = ({lastEventId}) => ids.push(lastEventId) === wanted && resolve();
    });
    source.close();
    return ids;
}

// ---- WebSocket ----

async function socket(sizes) {
    const connection = new WebSocket(location.origin.replace('http', 'ws') + '/ws', ['other', 'echo']), wrong = [];
    connection.binaryType = 'arraybuffer';
    await event(connection, 'open');
    for (const size of sizes) {
        const bytes = random(size), text = 'é'.repeat(size >> 1);
        connection.send(bytes);
        const {data: binary} = await event(connection, 'message');
        connection.send(text);
        const {data: said} = await event(connection, 'message');
        if (!(binary instanceof ArrayBuffer) || !same(bytes, new Uint8Array(binary)) || said !== text) wrong.push(size);
    }
    const {protocol, extensions} = connection;
    connection.send('close');
    const {code, reason, wasClean} = await event(connection, 'close');
    return {wrong, protocol, extensions, code, reason, wasClean};
}

// ---- Bodies ----

async function pieces() {
    const id = name(), answer = await fetch(`/pieces/${id}`), decoder = new TextDecoder(), got = [];
    const reader = answer.body.getReader();
    got.push(decoder.decode((await reader.read()).value));
    await post(`/go/${id}`);
    got.push(decoder.decode((await reader.read()).value));
    return [...got, (await reader.read()).done];
}

async function streamedUpload(count, size) {
    const id = name();
    let sent = 0;
    const body = new ReadableStream({async pull(controller) {
        if (sent) await fetch(`/gathered/${id}/${sent * size}`);  // The piece before has come to the backend.
        if (sent++ === count) return controller.close();
        controller.enqueue(random(size));
    }}, {highWaterMark: 0});
    return (await fetch(`/gather/${id}`, {method: 'POST', body, duplex: 'half'})).json();
}

async function download(mib) {
    const answer = await fetch(`/attachment/${mib}`);
    return sha256(await answer.arrayBuffer());
}

async function upload(size) {
    const bytes = random(size), answer = await (await post('/digest', new Blob([bytes]))).json();
    return answer.bytes === size && answer.sha256 === await sha256(bytes);
}

async function form(size) {
    const fields = new FormData();
    fields.append('name', 'value');
    fields.append('file', new File([random(size)], 'a name.bin'));
    return (await post('/form', fields)).json();
}

async function revalidates() {
    const answers = [];
    for (const cache of ['reload', 'no-cache']) {
        const answer = await fetch('/files/again.txt', {cache});
        answers.push([answer.status, (await answer.text()).length]);
    }
    return answers;
}

// ---- Redirects, cookies ----

async function redirect(count) {
    const answer = await fetch(`/redirect/${count}`);
    return {url: answer.url, redirected: answer.redirected, text: await answer.text()};
}

async function redirectedPost(status) {
    const answer = await fetch(`/seen/${status}`, {method: 'POST', body: 'a body'});
    return {status: answer.status, path: new URL(answer.url).pathname, text: await answer.text()};
}

async function cookies() {
    await fetch('/cookies');
    return {sent: await (await fetch('/cookie')).json(), seen: document.cookie};
}

// ---- Leaving ----

let held = [];

async function stay() {
    const stop = new AbortController(), answer = await fetch('/stay/body', {signal: stop.signal});
    const source = new EventSource('/stay/events'), events = event(source, 'message');
    const connection = new WebSocket(location.origin.replace('http', 'ws') + '/stay/socket');
    await Promise.all([events, event(connection, 'message'), answer.body.getReader().read()]);
    held = [stop, source, connection];
}

function leave() {
    const [stop, source, connection] = held;
    stop.abort();
    source.close();
    connection.close();
}

document.querySelector('#told').textContent = 'ready';
window.page = {pictures, parts, turns, comesAgain, socket, pieces, streamedUpload, download, upload, form, revalidates,
               redirect, redirectedPost, cookies, stay, leave};
