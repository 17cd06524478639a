"""A collateral service (PCS API version 4) on loopback that serves one platform's collateral and misbehaves when told."""

import http.server
import socket
import ssl
import threading
import urllib.parse

from programs import lasting_port

CHAIN_FIELDS = {"tcb": "TCB-Info-Issuer-Chain", "qe": "SGX-Enclave-Identity-Issuer-Chain",
                "pckcrl": "SGX-PCK-CRL-Issuer-Chain"}


class Pccs:
    """Serves `collateral` (the members of a collateral file). `behave` is one of

    "ok"          answers as it should
    a number      that status, no body
    "half"        half of a body, then the connection ends
    "html"        200 with a page that is no answer
    "no_chain"    leaves the issuer chains out
    "redirect"    302 to the same address
    "huge"        100 MiB without saying how much will come
    "announced"   says that 100 MiB will come, and sends them
    "silent"      takes the request and says nothing until release() or stop()

    stop() closes the port, start() opens the same one again. `requests` are the paths asked for, in order."""

    def __init__(self, collateral):
        self.collateral, self.behave = dict(collateral), "ok"
        self.requests, self.port = [], lasting_port()
        self.tls = None  # Certificate and key: https from the next start() on.
        self._go, self._server = threading.Event(), None
        self.arrived = threading.Semaphore(0)
        self.bytes_sent = 0
        self.start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                service._answer(self)

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # A client that went away, or does not trust the certificate.
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            # The handshake belongs to the connection's own thread: one that fails must not hold up the others.
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self._go.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def release(self):
        """What is silent answers as it should, and so does all that comes."""
        self.behave = "ok"
        self._go.set()

    def _answer(self, handler):
        self.requests.append(handler.path)
        self.arrived.release()
        if self.behave == "silent":
            self._go.wait(60)
        behave = self.behave
        try:
            if isinstance(behave, int):
                return self._send(handler, behave, [], b"")
            if behave == "redirect":
                return self._send(handler, 302, [("Location", self.url + handler.path)], b"")
            if behave == "html":
                return self._send(handler, 200, [], b"<html><body>Sign in</body></html>")
            if behave in ("huge", "announced"):
                return self._flood(handler, behave == "announced")
            fields, body = self._published(handler.path)
            if body is None:
                return self._send(handler, 404, [], b"")
            if behave == "no_chain":
                fields = []
            self._send(handler, 200, fields, body, cut=behave == "half")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass

    def _published(self, path):
        c = self.collateral
        url = urllib.parse.urlsplit(path)
        query = urllib.parse.parse_qs(url.query)

        def signed(key, name):
            # Assembled as text: what is signed are these very bytes.
            return ('{"%s":%s,"signature":"%s"}' % (key, c[name], c[name + "_signature"])).encode()

        def chain(kind, name):
            return [(CHAIN_FIELDS[kind], urllib.parse.quote(c[name]))]
        if url.path == "/tdx/certification/v4/tcb" and "fmspc" in query:
            return chain("tcb", "tcb_info_issuer_chain"), signed("tcbInfo", "tcb_info")
        if url.path == "/tdx/certification/v4/qe/identity":
            return chain("qe", "qe_identity_issuer_chain"), signed("enclaveIdentity", "qe_identity")
        if url.path == "/sgx/certification/v4/pckcrl" and query.get("ca") == ["platform"]:
            return chain("pckcrl", "pck_crl_issuer_chain"), bytes.fromhex(c["pck_crl"])
        if url.path == "/sgx/certification/v4/rootcacrl":
            return [], c["root_ca_crl"].encode()
        return [], None

    def _send(self, handler, status, fields, body, cut=False):
        handler.send_response(status)
        for name, value in fields:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:len(body) // 2] if cut else body)
        if cut:
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)

    def _flood(self, handler, announced):
        handler.send_response(200)
        if announced:
            handler.send_header("Content-Length", str(100 * 1024 * 1024))
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(bytes(1024 * 1024))
            self.bytes_sent += 1024 * 1024
