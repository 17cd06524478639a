"""A visitor of the passthrough listener, in TLS by Python's ssl or by `eectl connect`; and a backend that takes bytes as they come."""

import socket
import ssl
import subprocess
import threading

from simulated_platform import binary

def passthrough_port(control):
    return int(control.wait_event("control.passthrough")["address"].rsplit(":", 1)[1])


def trusting_tls(alpn=None):
    """Takes any certificate: what it is worth is not what these tests are about."""
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if alpn:
        tls.set_alpn_protocols(alpn)
    return tls


def visit(port, name="myapp.app.test", alpn=None, timeout=20):
    """A TLS connection through the listener; `name` None: without a server name."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return trusting_tls(alpn).wrap_socket(raw, server_hostname=name)


class HandMadeVisitor:
    """TLS by hand over a socket of one's own: the bytes are sent in any pieces, and each side ends by itself."""

    def __init__(self, name="myapp.app.test", alpn=None):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trusting_tls(alpn).wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self.socket = None
        self._try(self.tls.do_handshake)
        self.hello = self._outgoing.read()

    def connect(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    def visit(self, port):
        self.connect(port).socket.sendall(self.hello)
        return self.handshake()

    def handshake(self):
        """The ClientHello has been sent."""
        while not self._try(self.tls.do_handshake)[0]:
            self._receive()
        self._flush()
        return self

    def send(self, data):
        self.tls.write(data)
        self._flush()

    def end(self, shut=True):
        """close_notify, and the connection's side; we still listen."""
        self._try(self.tls.unwrap)
        self._flush()
        if shut:
            self.socket.shutdown(socket.SHUT_WR)

    def read_all(self):
        """Until the other side's close_notify."""
        received = bytearray()
        while True:
            done, data = self._try(lambda: self.tls.read(65536))
            if done and not data:
                return bytes(received)
            if done:
                received += data
            else:
                self._receive()

    def _try(self, step):
        try:
            return True, step()
        except ssl.SSLWantReadError:
            self._flush()
            return False, None
        except ssl.SSLZeroReturnError:
            return True, b""

    def _receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the connection ended without close_notify")
        self._incoming.write(data)

    def _flush(self):
        data = self._outgoing.read()
        if data and self.socket:
            self.socket.sendall(data)
        elif data:
            self._outgoing.write(data)


def read_all(connection):
    received = bytearray()
    while chunk := connection.recv(65536):
        received += chunk
    return bytes(received)


class PipeBackend:
    """A TCP (or Unix) server whose connections a function of one argument serves, each on a thread."""

    def __init__(self, serve, path=None):
        self.serve, self.connections = serve, []
        if path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self.url = f"unix:{path}"
        else:
            self._listener = socket.socket()
            self._listener.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            with connection:
                self.serve(connection)
        except OSError:
            pass  # The visitor is gone; the test knows.

    def stop(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept().
        except OSError:
            pass
        self._listener.close()


def echo(connection):
    """Says what it hears, to the end."""
    while chunk := connection.recv(65536):
        connection.sendall(chunk)


def eectl_connect(world, port, *options, app="myapp.app.test", data=b"", **changes):
    """Runs `eectl connect`; `changes`: collateral=, allowlist=, root=, network= in place of the platform's own."""
    folder = world.platform.directory
    terms = {"collateral": folder / "collateral.json", "allowlist": world.allowlist_dir / "org/repo/v0.1.3.json",
             "root": world.platform.root, "network": "sandbox-1", **changes}
    arguments = [str(text) for name, value in terms.items() if value is not None for text in (f"--{name}", value)]
    return subprocess.run([binary("eectl"), "connect", app, "--via", f"127.0.0.1:{port}", *arguments, *options],
                          input=data, capture_output=True, timeout=60)
