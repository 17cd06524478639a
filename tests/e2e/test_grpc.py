"""gRPC through the tunnel: the library's own client and server, which know nothing of what is between them."""

import threading
import time
from concurrent import futures

import grpc
import pytest

from harness import APP_DOMAIN, assert_leaving_is_heard, lasting_port, until

HOST = f"myapp.{APP_DOMAIN}"
MIB = 1024 * 1024


class Service:
    """Messages are bytes. Unary: echo; "fail" aborts, "wait" waits until the caller has gone. Download: as many messages
    as it is told. Upload: the sum of sizes. Chat: each message at once, twice."""

    def __init__(self):
        self.cancelled, self.started = threading.Event(), threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "Download": grpc.unary_stream_rpc_method_handler(self._download),
            "Upload": grpc.stream_unary_rpc_method_handler(self._upload),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", methods)])
        self.port = lasting_port()
        assert self._server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self.url = f"h2c://127.0.0.1:{self.port}"
        self._server.start()

    def stop(self):
        self._server.stop(None).wait()

    def _unary(self, request, context):
        if request == b"fail":
            context.set_trailing_metadata([("x-why", "as asked")])
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no – not now")
        if request == b"wait":
            context.add_callback(self.cancelled.set)
            self.started.set()
            self.cancelled.wait(20)
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-initial", sent.get("x-asked", ""))])
        context.set_trailing_metadata([("x-trailing-bin", b"\x00\xff")])
        return request

    def _download(self, request, context):
        context.add_callback(self.cancelled.set)
        for i in range(int(request)):
            yield b"%d" % i

    def _upload(self, requests, context):
        return b"%d" % sum(len(request) for request in requests)

    def _chat(self, requests, context):
        for request in requests:
            yield request
            yield request


@pytest.fixture
def site(world):
    class Site:
        service = Service()
        control = world.control()
        agent = world.agent(control, service, EE_HEALTH_INTERVAL_SEC=60)
        channel = grpc.insecure_channel(f"127.0.0.1:{control.proxy_port}", options=[
            ("grpc.default_authority", HOST), ("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)])

        def call(self, kind, name):
            return getattr(self.channel, kind)(f"/test.Echo/{name}")

    site = Site()
    yield site
    site.channel.close()
    site.service.stop()


def test_unary_calls_with_metadata_both_ways(site):
    answer, call = site.call("unary_unary", "Unary").with_call(b"hello", metadata=[("x-asked", "yes")], timeout=20)
    assert answer == b"hello" and call.code() == grpc.StatusCode.OK
    assert dict(call.initial_metadata())["x-initial"] == "yes"
    assert dict(call.trailing_metadata())["x-trailing-bin"] == b"\x00\xff"
    assert site.control.wait_access(path="/test.Echo/Unary")["status"] == 200


@pytest.mark.parametrize("size", [0, 1, 16384, 3 * MIB, 64 * MIB])
def test_messages_of_any_size(site, size):
    service_channel_answer = site.call("unary_unary", "Unary")(bytes(size), timeout=60)
    assert len(service_channel_answer) == size


def test_a_servers_stream(site):
    got = list(site.call("unary_stream", "Download")(b"2000", timeout=30))
    assert got == [b"%d" % i for i in range(2000)]
    assert list(site.call("unary_stream", "Download")(b"0", timeout=30)) == []


def test_a_clients_stream(site):
    pieces = (bytes(100_000) for _ in range(200))
    assert site.call("stream_unary", "Upload")(pieces, timeout=60) == b"20000000"


def test_each_message_of_a_conversation_passes_at_once(site):
    said, heard = [], []
    go = threading.Semaphore(1)

    def talk():
        for i in range(100):
            assert go.acquire(timeout=20)
            said.append(b"message %d" % i)
            yield said[-1]

    for answer in site.call("stream_stream", "Chat")(talk(), timeout=60):
        heard.append(answer)
        assert len(said) - 1 == (len(heard) - 1) // 2, "no answer waits for the next question"
        if len(heard) % 2 == 0:
            go.release()
    assert heard == [message for message in said for _ in range(2)]


def test_an_error_comes_as_the_service_says_it(site):
    with pytest.raises(grpc.RpcError) as refused:
        site.call("unary_unary", "Unary")(b"fail", timeout=20)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "no – not now")
    assert dict(refused.value.trailing_metadata())["x-why"] == "as asked"
    with pytest.raises(grpc.RpcError) as unknown:
        site.call("unary_unary", "Absent")(b"", timeout=20)
    assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_and_a_cancel_reach_the_service_within_a_second(site):
    def begin(timeout):
        site.service.started.clear()
        call = site.call("unary_unary", "Unary").future(b"wait", timeout=timeout)
        assert site.service.started.wait(10)
        return call

    def let_deadline_pass():
        call = begin(timeout=4)
        assert isinstance(call.exception(timeout=20), grpc.RpcError)
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    for leave in (let_deadline_pass, lambda: begin(timeout=20).cancel()):
        assert_leaving_is_heard(site.service.cancelled, leave)
    until(lambda: site.control.app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")


def test_a_service_that_restarts_costs_only_what_was_open(site, world):
    unary = site.call("unary_unary", "Unary")
    assert unary(b"before", timeout=20) == b"before"
    port = site.service.port
    site.service.stop()
    with pytest.raises(grpc.RpcError) as refused:
        unary(b"while it is away", timeout=20)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE, refused.value  # Of 502 (gRPC over HTTP/2).
    again = grpc.server(futures.ThreadPoolExecutor(2))
    again.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
        "test.Echo", {"Unary": grpc.unary_unary_rpc_method_handler(lambda request, _: request)})])
    assert again.add_insecure_port(f"127.0.0.1:{port}") == port
    again.start()
    assert unary(b"after", timeout=20) == b"after"
    again.stop(None).wait()


def test_many_calls_at_once(site):
    unary, started = site.call("unary_unary", "Unary"), time.monotonic()
    for _ in range(10):
        calls = [unary.future(b"%d" % i, timeout=30) for i in range(100)]
        assert [call.result() for call in calls] == [b"%d" % i for i in range(100)]
    assert time.monotonic() - started < 30
