"""Rate limits: of one client address and of one app, at both listeners, changed at SIGHUP."""

import itertools
import signal
import time

import pytest

from harness import APP_DOMAIN, until
from raw_http import Connection
from raw_http2 import Http2Connection
from streaming_backend import StreamingBackend

HOST = f"myapp.{APP_DOMAIN}"


def as_client(address):
    """Loopback is a trusted proxy: it says for whom it asks."""
    return {"X-Forwarded-For": address}


def statuses(ask, count):
    """The answers to `count` requests, as fast as one connection after another gets them; and how long it took."""
    started = time.monotonic()
    answers = [ask() for _ in range(count)]
    return answers, time.monotonic() - started


def expect_limited(answers, seconds, rps, burst):
    """As many passed as the bucket held and got meanwhile; the others were told when to come again."""
    passed = [a for a in answers if a.status == 200]
    assert burst <= len(passed) <= burst + rps * seconds + 1
    refused = [a for a in answers if a.status != 200]
    assert refused, "some were refused"
    for refusal in refused:
        assert (refusal.status, refusal.reason) == (429, "rate_limited")
        assert refusal.header("Content-Type") == "application/problem+json"
        assert int(refusal.header("Retry-After")) == 1


def test_a_client_gets_its_burst_and_then_its_rate_and_others_do_not_notice(world):
    control = world.control(EE_RATE_LIMIT_CLIENT_RPS=2)
    world.agent(control, world.backend())
    # A visitor cannot say that it is another: only what the trusted proxy itself wrote counts.
    said = itertools.cycle(["192.0.2.1", "192.0.2.8, 192.0.2.1", "192.0.2.9, 192.0.2.1"])
    expect_limited(*statuses(lambda: control.visit("myapp", "/", headers=as_client(next(said))), 30), rps=2, burst=10)
    assert control.visit("myapp", "/", headers=as_client("192.0.2.2")).status == 200
    # Who waits as long as it was told gets through.
    until(lambda: control.visit("myapp", "/", headers=as_client("192.0.2.1")).status == 200)
    line = control.wait_access(client="192.0.2.1", status=429)
    assert (line["error"], line["app"], line["path"]) == ("rate_limited", "myapp", "/")
    refused = control.metric("ee_proxy_rate_limited_total", limit="client_rate")
    assert refused == control.metric("ee_proxy_refused_total", reason="rate_limited") > 0
    assert control.metric("ee_proxy_rate_limited_total", limit="app_rate") == 0


def test_an_ipv6_network_is_one_client(world):
    control = world.control(EE_RATE_LIMIT_CLIENT_RPS=1)
    world.agent(control, world.backend())
    ask = iter(range(1000))
    answers, seconds = statuses(
        lambda: control.visit("myapp", "/", headers=as_client(f"2001:db8:0:1::{next(ask):x}")), 30)
    expect_limited(answers, seconds, rps=1, burst=10)
    assert control.visit("myapp", "/", headers=as_client("2001:db8:0:2::1")).status == 200


def test_an_app_is_limited_whoever_asks_and_its_neighbour_is_not(world):
    control = world.control(EE_RATE_LIMIT_APP_RPS=2)
    backend = world.backend()
    world.agent(control, backend)
    world.agent(control, backend, app="other")
    ask = iter(range(1, 1000))
    answers, seconds = statuses(
        lambda: control.visit("myapp", "/", headers=as_client(f"192.0.2.{next(ask)}")), 30)
    expect_limited(answers, seconds, rps=2, burst=10)
    assert control.visit("other", "/").status == 200
    assert control.metric("ee_proxy_rate_limited_total", limit="app_rate") > 0


def test_both_ways_by_the_control_listener_count_and_the_api_itself_does_not(world):
    control = world.control(EE_RATE_LIMIT_CLIENT_RPS=1)
    world.agent(control, world.backend())

    def name_none():
        with Connection(control.proxy_port) as visitor:
            return visitor.request("GET", "/", "elsewhere.example")
    ways = {"forwarded": lambda: control.get("/v1/proxy/myapp/"),
            "envelope": lambda: control.envelope("myapp", "GET", "/"),
            "visit": lambda: control.visit("myapp", "/"), "guessing names": lambda: control.visit("nobody", "/"),
            "naming none": name_none}
    turns = itertools.cycle(ways.items())

    def ask():
        way, request = next(turns)
        return way, request().status
    answers, seconds = statuses(ask, 40)
    passed = [way for way, status in answers if status != 429]
    assert 10 <= len(passed) <= 10 + seconds + 1
    assert {way for way, status in answers if status == 429} == set(ways)
    for _ in range(20):
        assert control.get("/health").status == 200
        assert control.get("/v1/resolve/myapp").status == 200


def test_an_upload_counts_before_its_body_has_come(world):
    control = world.control(EE_RATE_LIMIT_CLIENT_RPS=1)
    world.agent(control, world.backend())
    unfinished = [("content-length", "10")]
    with Http2Connection(control.proxy_port, HOST) as visitor:
        first = visitor.request("PUT", "/echo", unfinished, body=b"half,", end=False)
        for _ in range(20):
            visitor.request("PUT", "/echo", unfinished, body=b"half,", end=False)
        answers = visitor.answers
        visitor.until(lambda: sum(answer.status == 429 for answer in answers.values()) >= 10)
        refused = next(answer for answer in answers.values() if answer.status == 429)
        assert int(refused.field("retry-after")) >= 1
        for head in (f"PUT /v1/proxy/myapp/ HTTP/1.1\r\nHost: {HOST}", "POST /v1/proxy/myapp HTTP/1.1\r\nHost: x"):
            until(lambda: _refused(control, head), what=head)
        # What was counted once is not counted again.
        visitor.data(first, b"whole", end=True)
        assert visitor.wait(first).status == 200
    line = control.wait_access(method="PUT", status=429)
    assert (line["error"], line["app"]) == ("rate_limited", "myapp")


def _refused(control, head):
    with Connection(control.port) as caller:
        caller.send(f"{head}\r\nContent-Length: 10\r\n\r\n".encode())
        if caller.silent(0.5):
            return False  # There was a token for it.
        answer = caller.read_answer()
        assert (answer.status, answer.reason) == (429, "rate_limited")
        return int(answer.header("Retry-After")) >= 1


@pytest.fixture
def adjustable(world):
    """A control plane whose settings are in a file; reload(text) writes it and waits until it holds."""
    file = world.path / "control.toml"
    file.write_text("")
    control = world.control("--config", str(file), EE_MAX_STREAMS_PER_AGENT=1000)

    def reload(text):
        file.write_text(text)
        mark = control.mark()
        control.signal(signal.SIGHUP)
        control.wait_event("control.reloaded", since=mark)

    control.reload = reload
    return control


def test_a_changed_setting_that_a_start_alone_reads_is_named(adjustable):
    mark = adjustable.mark()
    adjustable.reload("EE_NAME_RESERVE_DAYS = 7\nEE_RATE_LIMIT_APP_RPS = 1000\n")
    assert adjustable.wait_event("control.restart_needed", since=mark)["settings"] == "EE_NAME_RESERVE_DAYS"
    mark = adjustable.mark()
    adjustable.reload("EE_RATE_LIMIT_APP_RPS = 0\n")
    assert not adjustable.events("control.restart_needed", since=mark)


@pytest.mark.parametrize("setting, limit", [("EE_RATE_LIMIT_CLIENT_RPS", "client_streams"),
                                            ("EE_RATE_LIMIT_APP_RPS", "app_streams")])
def test_open_streams_are_limited_until_they_end(world, adjustable, setting, limit):
    control, backend = adjustable, StreamingBackend()
    world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)
    open_, begun = [], 0

    def open_one():
        nonlocal begun
        visitor = Connection(control.proxy_port)
        visitor.send(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        status, _ = visitor.read_head()
        if status == 200:
            begun += 1
            open_.append(visitor)
        else:
            visitor.close()
        return status

    try:
        control.reload(f"{setting} = 1000\n")
        assert {open_one() for _ in range(100)} == {200}
        control.reload(f"{setting} = 10\n")  # 100 open ones at most.
        assert open_one() == 429
        assert control.metric("ee_proxy_rate_limited_total", limit=limit) == 1
        open_.pop().close()
        until(lambda: open_one() == 200, what="there is room for one again")
        assert open_one() == 429
        assert len(open_) == 100
    finally:
        for visitor in open_:
            visitor.close()
        for _ in range(begun):
            backend.emit(None)  # Each handler ends with one.
        backend.stop()


def test_limits_change_at_sighup(world, adjustable):
    world.agent(adjustable, world.backend())

    def passed(count):
        return [adjustable.visit("myapp", "/").status for _ in range(count)].count(200)

    def expect_one_a_second():
        started = time.monotonic()
        assert 10 <= passed(40) <= 10 + time.monotonic() - started + 1 < 40

    assert passed(40) == 40
    adjustable.reload("EE_RATE_LIMIT_CLIENT_RPS = 1\n")
    expect_one_a_second()
    adjustable.reload("EE_RATE_LIMIT_CLIENT_RPS = 0\n")
    assert passed(40) == 40
    adjustable.reload("EE_RATE_LIMIT_APP_RPS = 1\n")
    expect_one_a_second()
