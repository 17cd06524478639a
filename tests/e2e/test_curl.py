"""curl through control plane and agent, by HTTP/1.1 and by HTTP/2: what people do with it all day."""

import hashlib
import json
import os
import subprocess
import time

import pytest

from backend import answer
from harness import APP_DOMAIN, until
from site_backend import SiteBackend

HOST = f"myapp.{APP_DOMAIN}"
MIB = 1024 * 1024
WRITE_OUT = "%{http_version} %{http_code} %{size_download} %{num_connects}\n"


class Curl:
    """curl on one control plane: HTTP/1.1 in clear, or HTTP/2 under TLS, where ALPN chooses it."""

    def __init__(self, control, version, ca):
        self.version, self.base = version, f"{'https' if version == '2' else 'http'}://{HOST}:{control.proxy_port}"
        # Each transfer has these of its own.
        self.transfer = ["-sS", "--http2" if version == "2" else "--http1.1", "--cacert", str(ca), "--resolve",
                         f"{HOST}:{control.proxy_port}:127.0.0.1"]

    def url(self, path):
        return self.base + path

    def run(self, *arguments, body=None, check=True, timeout=60):
        """The finished process."""
        return subprocess.run(["curl", *self.transfer, *map(str, arguments)], input=body, capture_output=True,
                              timeout=timeout, check=check)

    def say(self, *arguments, body=None):
        return self.run(*arguments, body=body).stdout

    def facts(self, *arguments):
        """[version, status, bytes, new connections] of each transfer; its body goes nowhere."""
        said = self.say("-o", "/dev/null", "-w", WRITE_OUT, *arguments).decode()
        return [line.split() for line in said.splitlines()]


class Site:
    """A backend with a file, behind a control plane in clear and one under TLS."""

    def __init__(self, world):
        self.folder, self.content = world.path / "files", os.urandom(3 * MIB)
        self.folder.mkdir()
        (self.folder / "big").write_bytes(self.content)
        self.backend, tls = SiteBackend(self.folder), world.make_tls()
        self.controls = {
            "1.1": world.control(),
            "2": world.control(EE_DB_PATH=world.path / "second.db", EE_PROXY_TLS_CERT=tls["EE_TLS_CERT"],
                               EE_PROXY_TLS_KEY=tls["EE_TLS_KEY"])}
        for version, control in self.controls.items():
            world.agent(control, self.backend, EE_HEALTH_INTERVAL_SEC=60, EE_STATE_DIR=world.path / version)
        self.curls = {version: Curl(control, version, world.tls_ca) for version, control in self.controls.items()}


@pytest.fixture(scope="module")
def site(shared_world):
    site = Site(shared_world)
    yield site
    site.backend.stop()


@pytest.fixture(params=["1.1", "2"])
def curl(site, request):
    return site.curls[request.param]


def test_a_broken_download_is_resumed(site, curl, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(site.content[:MIB + 17])
    said = curl.say("-C", "-", "-o", part, "-w", "%{http_code} %{size_download}", curl.url("/files/big"))
    assert said.decode() == f"206 {2 * MIB - 17}"
    assert part.read_bytes() == site.content


@pytest.mark.parametrize("span,wanted", [("0-0", slice(0, 1)), ("-5", slice(-5, None)), ("100-199", slice(100, 200))])
def test_a_range_is_what_it_says(site, curl, span, wanted):
    assert curl.say("-r", span, curl.url("/files/big")) == site.content[wanted]


def test_a_range_behind_the_end_is_refused_by_the_backend(site, curl):
    assert curl.facts("-r", "99999999-", curl.url("/files/big"))[0][:2] == [curl.version, "416"]


def test_what_has_not_changed_is_not_sent_again(site, curl, tmp_path):
    tag, url = tmp_path / "tag", curl.url("/files/big")
    assert curl.facts("--etag-save", tag, url)[0][1:3] == ["200", str(3 * MIB)]
    # On one connection with what follows: 304 has no body, whatever its fields say.
    again = curl.facts("--etag-compare", tag, url, "--next", *curl.transfer, "-o", "/dev/null", "-w", WRITE_OUT,
                       curl.url("/"))
    assert again == [[curl.version, "304", "0", "1"], [curl.version, "200", "6", "0"]]


def test_a_head_has_the_length_and_no_body(site, curl):
    said = curl.say("-I", curl.url("/files/big"), curl.url("/files/big")).decode().lower()
    assert said.count(f"content-length: {3 * MIB}\r\n") == 2 and said.count(" 200") == 2


def test_an_upload_of_unknown_length(site, curl):
    told = json.loads(curl.say("-T", "-", curl.url("/digest"), body=site.content))
    assert told["bytes"] == 3 * MIB and told["sha256"] == hashlib.sha256(site.content).hexdigest()


def test_a_form_with_files(site, curl):
    told = json.loads(curl.say("-F", "name=value", "-F", f"file=@{site.folder}/big", curl.url("/form")))
    assert told == {"name": 5, "file": 3 * MIB}


def test_an_upload_that_expects_a_word_first_gets_it(site, curl):
    began = time.monotonic()
    told = json.loads(curl.say("-H", "Expect: 100-continue", "--expect100-timeout", "30", "--data-binary", "@-",
                               curl.url("/digest"), body=site.content))
    assert told["bytes"] == 3 * MIB and time.monotonic() - began < 15, "it did not wait in vain"


def test_slow_transfers_are_whole(site, curl):
    assert curl.say("--limit-rate", "2M", curl.url("/files/big")) == site.content
    told = json.loads(curl.say("--limit-rate", "2M", "--data-binary", "@-", curl.url("/digest"), body=site.content))
    assert told["sha256"] == hashlib.sha256(site.content).hexdigest()


def test_one_connection_serves_many(site, curl):
    facts = curl.facts(*[argument for _ in range(100) for argument in ("-o", "/dev/null", curl.url("/x"))])
    assert [fact[:3] for fact in facts] == [[curl.version, "200", "6"]] * 100
    assert sum(int(fact[3]) for fact in facts) == 1


def test_two_hundred_in_parallel(site, curl):
    facts = curl.facts("-Z", "--parallel-max", "50",
                       *[argument for _ in range(200) for argument in ("-o", "/dev/null", curl.url("/x"))])
    assert [fact[:3] for fact in facts] == [[curl.version, "200", "6"]] * 200


def test_one_that_gives_up_leaves_nothing_behind(site, curl):
    done = curl.run("-m", "0.3", "-o", "/dev/null", curl.url("/pieces/never"), check=False)
    assert done.returncode == 28, done.stderr
    until(lambda: site.controls[curl.version].app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")


@pytest.fixture
def told(world):
    """curl by both versions on one control plane under TLS, before the backend whose paths are behaviours."""
    tls, backend = world.make_tls(), world.backend()
    chunked = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
    backend.on("/trailers", lambda request: answer(200, chunked, b"3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n"))
    control = world.control(EE_PROXY_TLS_CERT=tls["EE_TLS_CERT"], EE_PROXY_TLS_KEY=tls["EE_TLS_KEY"])
    world.agent(control, backend)
    curls = [Curl(control, version, world.tls_ca) for version in ("1.1", "2")]
    for curl in curls:
        curl.base = curl.base.replace("http:", "https:")
    return curls


def test_trailers_come_to_who_asks(told):
    for curl in told:
        said = curl.say("-D", "-", "-H", "TE: trailers", "-H", "Connection: TE", curl.url("/trailers")).lower()
        head, _, rest = said.partition(b"\r\n\r\n")
        assert b"x-sum: 1" not in head and b"x-sum: 1\r\n" in rest and b"one" in rest, said


def test_a_compressed_answer_is_left_as_it_is(told):
    for curl in told:
        assert curl.say("--compressed", curl.url("/gzip")) == b"compressed"
        assert curl.say("-b", "a=1; b=2", "-L", curl.url("/redirect?to=/cookies")) == b"cookies"


def test_an_upgrade_to_h2c_is_ignored(site):
    curl = site.curls["1.1"]
    for extra in (["-I"], ["--data-binary", "hello"]):
        done = curl.run("-v", "--http2", *extra, "-o", "/dev/null", "-w", "%{http_version} %{http_code}",
                        curl.url("/digest" if "hello" in extra else "/"))
        assert b"> Upgrade: h2c" in done.stderr, "it was asked for"
        assert done.stdout == b"1.1 200", done.stderr
