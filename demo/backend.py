#!/usr/bin/env python3
"""The demo's app: a small HTTP/1.1 server that says what reached it.

    backend.py [PORT]

Listens on loopback; without PORT on any free one. The first line on standard output names the address, then
comes one line a request. Standard library only.
"""

import http.server
import signal
import socketserver
import sys

BODY_BYTES_MAX = 16 * 1024 * 1024


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Connections are kept alive.
    disable_nagle_algorithm = True
    wbufsize = -1  # Head and body leave in one write.
    timeout = 300

    def answer(self):
        body = self.read_body()
        if body is None:
            return
        lines = [
            "Hello from the backend behind the tunnel.",
            f"request     {self.command} {self.path}",
            f"host        {self.headers.get('Host', '-')}",
            f"client      {self.headers.get('X-Forwarded-For', '-')}",
            f"request id  {self.headers.get('X-Request-Id', '-')}",
        ]
        if body:
            lines.append(f"body        {len(body)} bytes: {body[:60].decode('utf-8', 'replace')}")
        text = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def read_body(self):
        """The body, or None after a refusal. The agent forwards every body with its length."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
            self.send_error(411)
            return None
        if int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self.send_error(413)
            return None
        return self.rfile.read(int(length))

    def log_message(self, format, *arguments):
        print(format % arguments, flush=True)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Server(("127.0.0.1", port), Handler) as server:
        print(f"listening on 127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


main()
