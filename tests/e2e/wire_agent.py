"""An agent spoken by hand: WebSocket tunnel protocol v1, every message under the test's control.

Coroutines run on one background loop, so an agent goes on answering pings and challenges while its test blocks."""

import asyncio
import base64
import json
import os
import socket
import threading
import time

import aiohttp
import aiohttp.abc

from simulated_platform import LEGACY_CLAIMS, report_data_layout2, report_data_legacy

_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, daemon=True).start()


def run(coroutine, timeout=30):
    """Runs a coroutine on the background loop from a test; its result. For loads that want many agents at once."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop).result(timeout)


class _Loopback(aiohttp.abc.AbstractResolver):
    """Every name is this machine: a URL's host then only says which server name TLS asks for."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self):
        pass


class WireAgent:
    """One tunnel. `platform`: the SimulatedPlatform that quotes. Keyword arguments are the fields of `register`.

    The methods without prefix block (use them in tests); those that begin with `a` are their coroutines.
        send(message)                  a dict as JSON text, str as text, bytes as a binary message
        register(**changes)            sends `register`
        challenge = expect("attest_request")
        answer_challenge(challenge, **how)     a correct attest_response, but for what `how` changes (see evidence())
        attest()                       register, answer, and await `status ok attested`: the whole way in
        serve(handler)                 from now on answer by itself: challenges, and each proxy_request by
                                       handler(request) -> fields of a proxy_response (default: echo, status 200)
        expect(type, timeout=10, **fields)     the next message of this type with these fields; others are skipped
        expect_closed()                the close code, after the server has closed
        messages, received_at          everything received, in order, and when (time.monotonic())
    """

    def __init__(self, url, platform, answer_pings=True, ssl=None, headers=None, max_msg_size=0, **register):
        self.url, self.platform, self.answer_pings, self.ssl = url, platform, answer_pings, ssl
        self.max_msg_size = max_msg_size  # Of aiohttp: it closes on a message of so many bytes; 0: on none.
        self.headers = headers  # Of the upgrade.
        self.identity = {"repo": "org/repo", "release_tag": "v0.1.3", "app_name": "myapp", "network": "sandbox-1",
                         "agent_id": "wire-agent", **register}
        self.measurements, self.agent_key, self.node_token = {}, None, None
        self.messages, self.received_at, self.pings = [], [], 0
        self.close_code, self.closed = None, False
        self._auto_challenge, self._handler, self._taken, self._tasks = False, None, 0, set()
        self._changed = None

    # ---- The connection ----

    async def aconnect(self, timeout=10):
        self._changed = asyncio.Condition()
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_Loopback()))
        # aiohttp answers pings itself only where it may; here a test may want an agent that does not.
        self._ws = await asyncio.wait_for(
            self._http.ws_connect(self.url, autoping=False, autoclose=False, ssl=self.ssl,
                                  max_msg_size=self.max_msg_size, headers=self.headers), timeout)
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self):
        try:
            while not self._ws.closed:
                message = await self._ws.receive()
                if message.type == aiohttp.WSMsgType.CLOSE:
                    self.close_code = message.data
                    await self._ws.close()
                elif message.type in (aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                    break
                elif message.type == aiohttp.WSMsgType.PING:
                    self.pings += 1
                    if self.answer_pings:
                        await self._ws.pong(message.data)
                elif message.type == aiohttp.WSMsgType.TEXT:
                    await self._received(json.loads(message.data))
        except ConnectionError:
            pass
        if self.close_code is None:
            self.close_code = self._ws.close_code
        async with self._changed:
            self.closed = True
            self._changed.notify_all()
        await self._http.close()

    async def _received(self, message):
        async with self._changed:
            self.messages.append(message)
            self.received_at.append(time.monotonic())
            self._changed.notify_all()
        if message["type"] == "attest_request" and self._auto_challenge:
            self._start(self.aanswer_challenge(message))
        elif message["type"] == "proxy_request" and self._handler:
            self._start(self._answer_request(message))

    def _start(self, coroutine):
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def asend(self, *messages):
        """All of them before anything that comes is looked at."""
        for message in messages:
            if isinstance(message, bytes):
                await self._ws.send_bytes(message)
            else:
                await self._ws.send_str(message if isinstance(message, str) else json.dumps(message))

    async def aclose(self):
        self.answer_pings = False
        await self._ws.close()
        await asyncio.wait_for(self._reader, 10)

    async def aabort(self):
        """The TCP connection breaks without a close frame."""
        transport = self._ws._writer.transport
        transport.abort()
        await asyncio.wait_for(self._reader, 10)

    # ---- What is awaited ----

    async def aexpect(self, kind, timeout=10, **fields):
        deadline = time.monotonic() + timeout
        async with self._changed:
            while True:
                while self._taken < len(self.messages):
                    message = self.messages[self._taken]
                    self._taken += 1
                    if message["type"] == kind and all(message.get(k) == v for k, v in fields.items()):
                        return message
                if self.closed:
                    raise AssertionError(f"{kind} {fields} was awaited; the tunnel closed with {self.close_code} "
                                         f"after {self.messages[-3:]}")
                try:
                    await asyncio.wait_for(self._changed.wait(), max(0, deadline - time.monotonic()))
                except asyncio.TimeoutError:
                    raise AssertionError(f"{kind} {fields} did not come within {timeout} s; "
                                         f"last came {self.messages[-3:]}") from None

    async def aexpect_closed(self, timeout=10):
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self.closed), timeout)
            except asyncio.TimeoutError:
                raise AssertionError(f"the tunnel is still open after {timeout} s; {self.messages[-3:]}") from None
        return self.close_code

    # ---- What an agent says ----

    async def aregister(self, **changes):
        self.identity.update(changes)
        await self.asend({"type": "register", **self.identity})

    def evidence(self, nonce, legacy=False, quote=None, quote_options=(), report_data=None, measurements=None,
                 identity=None, channel=b"", **fields):
        """The attest_response to this nonce (hex). Changed by: `legacy` (the deployed agents' layout), `quote`
        (base64, in place of a fresh one), `quote_options` (of `eectl simulate quote`), `report_data` (bytes to
        quote and to send), `measurements` (claims), `identity` (fields of register the quote is to bind instead),
        `channel` (TLS exporter), and any field of the message; a field that is None is left out."""
        claims = dict(self.measurements if measurements is None else measurements)
        if legacy:
            claims = {**LEGACY_CLAIMS, **claims}
        spki = b""
        if self.agent_key and not legacy:
            spki = self.agent_key.spki
        if report_data is None:
            report_data = report_data_legacy(claims) if legacy else report_data_layout2(
                bytes.fromhex(nonce), {**self.identity, **(identity or {})}, claims, key_spki=spki, channel=channel)
        message = {"type": "attest_response", "nonce": nonce, "report_data": report_data.hex(), "measurements": claims}
        if not legacy:
            message["layout"] = 2
        if self.node_token:
            message["node_token"] = self.node_token
        if spki:
            message["agent_key"] = base64.b64encode(spki).decode()
            signature = self.agent_key.sign(b"easyenclave/session/2\0" + report_data)
            message["signature"] = base64.b64encode(signature).decode()
        message["quote"] = quote if quote is not None else self.platform.quote(report_data, *quote_options)
        message.update(fields)
        return {name: value for name, value in message.items() if value is not None}

    async def aanswer_challenge(self, challenge, **how):
        answer = await asyncio.to_thread(self.evidence, challenge["nonce"], **how)
        await self.asend(answer)

    async def aattest(self, timeout=15, **how):
        await self.aregister()
        await self.aanswer_challenge(await self.aexpect("attest_request", timeout), **how)
        return await self.aexpect("status", timeout, state="ok", reason="attested")

    async def _answer_request(self, request):
        fields = self._handler(request)
        if asyncio.iscoroutine(fields):
            fields = await fields
        if fields is not None:
            await self.asend({"type": "proxy_response", "request_id": request["request_id"], **fields})

    def serve(self, handler=None, challenges=True):
        self._auto_challenge, self._handler = challenges, handler or echo
        return self

    # ---- Blocking forms ----

    def connect(self, timeout=10):
        return run(self.aconnect(timeout), timeout + 5)

    def send(self, *messages):
        run(self.asend(*messages))

    def close(self):
        run(self.aclose())

    def abort(self):
        run(self.aabort())

    def expect(self, kind, timeout=10, **fields):
        return run(self.aexpect(kind, timeout, **fields), timeout + 5)

    def expect_closed(self, timeout=10):
        return run(self.aexpect_closed(timeout), timeout + 5)

    def register(self, **changes):
        run(self.aregister(**changes))

    def answer_challenge(self, challenge, **how):
        run(self.aanswer_challenge(challenge, **how))

    def attest(self, timeout=15, **how):
        run(self.aattest(timeout, **how), 2 * timeout + 5)
        return self

    def statuses(self):
        """(state, reason) of every status so far."""
        return [(m["state"], m["reason"]) for m in self.messages if m["type"] == "status"]

    def challenges(self):
        return [m for m in self.messages if m["type"] == "attest_request"]


def echo(request):
    """Answers with the proxy_request itself, as JSON."""
    body = json.dumps(request).encode()
    return {"status": 200, "headers": {"Content-Type": "application/json"}, "body_b64": base64.b64encode(body).decode()}


def text_answer(text, status=200, **headers):
    return lambda request: {"status": status, "headers": headers, "body_b64": base64.b64encode(text.encode()).decode()}


class AgentKey:
    """An Ed25519 key of an agent, kept by openssl."""

    def __init__(self, directory, name):
        import subprocess
        self._subprocess, self._file = subprocess, os.path.join(directory, name + ".pem")
        self._openssl("genpkey", "-algorithm", "ed25519", "-out", self._file)
        self.spki = self._openssl("pkey", "-in", self._file, "-pubout", "-outform", "DER")

    def _openssl(self, *arguments):
        return self._subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=10).stdout

    def sign(self, message):
        path = f"{self._file}.{threading.get_ident()}.message"
        with open(path, "wb") as file:
            file.write(message)
        return self._openssl("pkeyutl", "-sign", "-rawin", "-inkey", self._file, "-in", path)
