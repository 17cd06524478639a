"""`eectl request`: a request to an app, whose answer is thrown away unless it says that what was asked is met."""

import socket
import subprocess
import threading

import pytest

from backend import answer
from harness import APP_DOMAIN
from simulated_platform import binary, eectl

RELEASE = 'release="v0.1.3"'


class Between:
    """A proxy that whoever asks takes for the other end. `change` makes a request's bytes into what is passed on;
    `answered` the same of the answer's."""

    def __init__(self, port, change=lambda head: head, answered=lambda data: data):
        self.port_behind, self.change, self.answered = port, change, answered
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heads = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                visitor, _ = self.listener.accept()
            except OSError:
                return
            with visitor, socket.create_connection(("127.0.0.1", self.port_behind), timeout=20) as behind:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += visitor.recv(65536)
                self.heads.append(head)
                behind.sendall(self.change(head))
                data = b""
                while piece := behind.recv(65536):
                    data += piece
                visitor.sendall(self.answered(data))

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def without(name):
    """Takes the lines of a field out of a head."""
    def change(data):
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(name.encode() + b":")]
        return b"\r\n".join(lines) + b"\r\n\r\n" + rest
    return change


@pytest.fixture(scope="module")
def site(shared_world):
    class Site:
        world = shared_world
        backend, control = shared_world.backend(), shared_world.control()

        def request(self, *arguments, port=None, app_host=None, **options):
            port = port or (self.control.proxy_port if app_host else self.control.port)
            host = ["--app-host", app_host] if app_host else []
            return eectl("request", "myapp", *arguments, *host, "--url", f"http://127.0.0.1:{port}", check=False, **options)

    site = Site()
    site.backend.on("/secret", lambda _: answer(200, [("X-App", "yes")], "what the app says"))
    shared_world.agent(site.control, site.backend, EE_HEALTH_INTERVAL_SEC=60)
    yield site


@pytest.mark.parametrize("app_host", [None, f"myapp.{APP_DOMAIN}"])
def test_an_honest_answer_is_printed(site, app_host):
    done = site.request("/secret?a=b", "--require", f"max-age=3600, {RELEASE}", app_host=app_host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "what the app says", "")
    assert site.backend.requests[-1].target == "/secret?a=b"
    assert site.backend.requests[-1].header("EE-Require") == [f"max-age=3600, {RELEASE}"]
    done = site.request("/secret", "-i", "--require", RELEASE, app_host=app_host)
    head, _, body = done.stdout.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 ") and "\nx-app: yes\n" in head.lower() and "\nEE-Require-Met: :" in head
    assert body == "what the app says"


@pytest.mark.parametrize("app_host", [None, f"myapp.{APP_DOMAIN}"])
def test_a_proxy_that_removes_the_requirement_is_found_out(site, app_host):
    behind = site.control.proxy_port if app_host else site.control.port
    for between in (Between(behind, change=without("ee-require")), Between(behind, answered=without("ee-require-met"))):
        before = len(site.backend.requests)
        done = site.request("/secret", "-i", "--require", RELEASE, port=between.port, app_host=app_host)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert "requirement_not_confirmed" in done.stderr
        # The app did answer: that was kept from who asked.
        assert len(site.backend.requests) == before + 1 and b"EE-Require: " + RELEASE.encode() in between.heads[0]
        # Nothing required, nothing refused.
        assert site.request("/secret", port=between.port, app_host=app_host).stdout == "what the app says"
        between.close()


def test_what_another_requirement_was_met_by_is_no_answer(site):
    weaker = lambda head: head.replace(RELEASE.encode(), b"max-age=9999999")
    between = Between(site.control.port, change=weaker)
    done = site.request("/secret", "--require", RELEASE, port=between.port)
    assert (done.returncode, done.stdout) == (1, "") and "1 EE-Require-Met" in done.stderr
    between.close()


def test_a_refusal_says_why(site):
    done = site.request("--require", 'release="v9"')
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("eectl: requirement_unmet: ")
    done = site.request("--require", "no-such-key")
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("eectl: invalid_requirement: ")
    done = eectl("request", "nobody", "--url", f"http://127.0.0.1:{site.control.port}", check=False)
    assert done.returncode == 1 and '"unknown_app"' in done.stdout


def test_bodies_go_both_ways_at_once(site, tmp_path):
    # An echo whose answer is not read would keep the request from being read.
    data = bytes(range(32, 127)) * 170_000
    (tmp_path / "data").write_bytes(data)
    done = site.request("/anything", "-X", "PUT", "--data-file", tmp_path / "data", "--require", RELEASE, timeout=120)
    assert done.returncode == 0, done.stderr
    assert site.backend.requests[-1].body == data and site.backend.requests[-1].method == "PUT"
    done = site.request("/anything", "--data", "a=b", "-H", "Content-Type: text/plain")
    assert site.backend.requests[-1].body == b"a=b" and site.backend.requests[-1].header("Content-Type") == ["text/plain"]
    assert site.backend.requests[-1].method == "POST" and done.returncode == 0


def test_what_breaks_off_is_not_taken_for_a_whole_answer(site):
    done = site.request("/cut", "--require", RELEASE)
    # By when it is known: a refusal in place of the answer, or a connection that is cut within it.
    assert done.returncode == 1 and len(done.stdout) <= 10 and done.stderr, done
    done = site.request("/status/404", "--require", RELEASE)
    assert (done.returncode, done.stdout) == (1, "status 404")


def test_what_comes_is_printed_at_once(site):
    site.backend.on("/begun", lambda _: b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nbegun")
    program = subprocess.Popen([binary("eectl"), "request", "myapp", "/begun", "--require", RELEASE, "--url",
                                f"http://127.0.0.1:{site.control.port}"], stdout=subprocess.PIPE)
    try:
        # The rest never comes.
        assert program.stdout.read(5) == b"begun" and program.poll() is None
    finally:
        program.kill()
        program.wait()
