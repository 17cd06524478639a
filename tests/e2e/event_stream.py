"""A reader of GET /v1/events, and a receiver of webhooks."""

import base64
import hashlib
import hmac
import http.server
import json
import socket
import threading
import time

from harness import ADMIN_TOKEN


class Message:
    """One server-sent message: id (a number), kind, data (parsed)."""

    def __init__(self, number, kind, data):
        self.id, self.kind, self.data = number, kind, data

    def __repr__(self):
        return f"Message({self.id}, {self.kind}, {self.data})"


class EventStream:
    """Reads a stream in the background, from now on or behind a number; `last_id` is sent as Last-Event-ID.

        with EventStream(control, after=0, app="myapp") as stream:
            stream.wait_for("attested", agent_id="a1")"""

    def __init__(self, control, last_id=None, token=ADMIN_TOKEN, **query):
        self.messages, self.last_id, self.ended = [], None, False
        self.status, self.head = None, ""
        self._changed = threading.Condition()
        self.socket = socket.create_connection(("127.0.0.1", control.port), timeout=60)
        target = "/v1/events" + ("?" if query else "") + "&".join(f"{name}={value}" for name, value in query.items())
        fields = f"Authorization: Bearer {token}\r\n" + (f"Last-Event-ID: {last_id}\r\n" if last_id is not None else "")
        # HTTP/1.0: the body comes as it is, without chunks.
        self.socket.sendall(f"GET {target} HTTP/1.0\r\nHost: x\r\n{fields}\r\n".encode())
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        # The first message has the position that the stream begins at.
        self._wait(lambda: self.last_id is not None or self.ended, 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(10)
        self.socket.close()

    def _read(self):
        rest, in_head, fields = b"", True, {}
        try:
            while chunk := self.socket.recv(65536):
                rest += chunk
                while b"\n" in rest:
                    line, rest = rest.split(b"\n", 1)
                    line = line.rstrip(b"\r").decode()
                    with self._changed:
                        if in_head:
                            self.head += line + "\n"
                            in_head = line != ""
                            self.status = self.status or int(line.split()[1])
                        elif line:
                            name, _, value = line.partition(":")
                            fields[name] = value.removeprefix(" ")
                        else:
                            self._take(fields)
                            fields = {}
                        self._changed.notify_all()
        except OSError:
            pass
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _take(self, fields):
        if "id" in fields:
            self.last_id = int(fields["id"])
        if "data" in fields:
            data = json.loads(fields["data"])
            assert fields["event"] == "events_lost" or (data["seq"], data["kind"]) == (self.last_id, fields["event"])
            self.messages.append(Message(self.last_id, fields["event"], data))

    def _wait(self, condition, timeout):
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def matching(self, kind=None, **fields):
        return [message for message in self.messages if kind in (None, message.kind)
                and all(message.data.get(name) == value for name, value in fields.items())]

    def wait_for(self, kind, count=1, timeout=20, **fields):
        """The count-th message of this kind and these fields."""
        found = self._wait(lambda: len(self.matching(kind, **fields)) >= count, timeout)
        assert found, f"{kind} {fields} x{count} was awaited; came: {self.messages}"
        return self.matching(kind, **fields)[count - 1]

    def wait_end(self, timeout=20):
        assert self._wait(lambda: self.ended, timeout), "the stream goes on"

    def kinds(self):
        return [message.kind for message in self.messages]

    def ids(self):
        return [message.id for message in self.messages]


class Receiver:
    """An HTTP server that takes webhooks. `answers`: statuses of the next requests, then 204; None: none at all. Each
    answer names `location` where one is given."""

    SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    def __init__(self, answers=(), port=0, location=None):
        self.requests, self.taken, self.answers = [], [], list(answers)
        self._changed, self._end = threading.Condition(), threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._receive(self.path, dict(self.headers.items()), body)
                if status is None:
                    receiver._end.wait(60)
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if location:
                    self.send_header("Location", location)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def settings(self):
        return {"EE_WEBHOOK_URL": f"http://127.0.0.1:{self.port}/hook?key=k", "EE_WEBHOOK_SECRET": self.SECRET}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def _receive(self, path, headers, body):
        with self._changed:
            status = self.answers.pop(0) if self.answers else 204
            message = json.loads(body)
            self.requests.append((headers, message, path, body))
            if status is not None and status < 300:
                self.taken.append(message)
            self._changed.notify_all()
        return status

    def wait_requests(self, count, timeout=20):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, timeout), len(self.requests)
        return self.requests[count - 1]

    def wait_taken(self, kind, timeout=30, **fields):
        """The event of this kind and these fields, once it was answered with success."""
        def find():
            return [message["data"] for message in self.taken if message["type"] == kind
                    and all(message["data"].get(name) == value for name, value in fields.items())]
        with self._changed:
            assert self._changed.wait_for(find, timeout), [message["type"] for message in self.taken]
        return find()[0]

    def distinct(self):
        """What was taken, but what came again: an answer may be lost when the sender ends."""
        return list({message["data"]["seq"]: message["data"] for message in self.taken}.values())

    def verify(self):
        """Every request is signed as Standard Webhooks says."""
        key = base64.b64decode(self.SECRET.removeprefix("whsec_"))
        for headers, _, path, body in self.requests:
            names = {name.lower(): value for name, value in headers.items()}
            assert path == "/hook?key=k" and names["content-type"] == "application/json"
            assert abs(time.time() - int(names["webhook-timestamp"])) < 120
            content = f"{names['webhook-id']}.{names['webhook-timestamp']}.".encode() + body
            signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
            assert names["webhook-signature"] == f"v1,{signature}"

    def ids(self):
        return [dict((name.lower(), value) for name, value in headers.items())["webhook-id"]
                for headers, *_ in self.requests]
