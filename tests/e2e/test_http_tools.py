"""nghttp and wrk through control plane and agent: HTTP/2's odder options, and many connections at once."""

import json
import os
import re
import shutil
import subprocess

import pytest

from backend import answer
from harness import APP_DOMAIN, until
from site_backend import SiteBackend

HOST = f"myapp.{APP_DOMAIN}"
MIB = 1024 * 1024
PAGE = "<html><head>" + "".join(
    f'<link rel="stylesheet" href="/files/{i}.css"><script src="/files/{i}.js"></script>' for i in range(20)
) + "</head><body>" + "".join(f'<img src="/files/{i}.png">' for i in range(20)) + "</body></html>"

needs_nghttp = pytest.mark.skipif(shutil.which("nghttp") is None, reason="no nghttp: apt-get install nghttp2-client")
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk: apt-get install wrk")


@pytest.fixture(scope="module")
def site(shared_world):
    class Site:
        folder = shared_world.path / "files"
        folder.mkdir()
        backend, control = SiteBackend(folder), shared_world.control()
        agent = shared_world.agent(control, backend, EE_HEALTH_INTERVAL_SEC=60)

        def nghttp(self, *arguments, paths=("/",), check=True):
            """What it says."""
            done = subprocess.run(["nghttp", "-H", f":authority: {HOST}", *map(str, arguments),
                                   *(f"http://127.0.0.1:{self.control.proxy_port}{path}" for path in paths)],
                                  capture_output=True, timeout=60)
            assert not check or (done.returncode == 0 and b"[ERROR]" not in done.stderr), done
            return done.stdout

        def no_streams_left(self):
            until(lambda: self.control.app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")

    for i in range(20):
        (Site.folder / f"{i}.css").write_bytes(b"c" * 3000 * i)
        (Site.folder / f"{i}.js").write_bytes(b"j" * 1000 * i)
        (Site.folder / f"{i}.png").write_bytes(b"p" * 40_000 * i)
    (Site.folder / "page.html").write_text(PAGE)
    Site.content = os.urandom(3 * MIB)
    (Site.folder / "big").write_bytes(Site.content)
    yield Site()
    Site.backend.stop()


@needs_nghttp
def test_a_page_with_its_assets_on_one_connection(site):
    said = site.nghttp("-ans", "-m", "3", paths=["/files/page.html"]).decode()
    # A line of the statistics: id, times, code, size, path.
    lines = re.findall(r"^\s*\d+ +\+\S+ .* (\d{3}) +(\S+) (/\S+)$", said, re.MULTILINE)
    assert {code for code, _, _ in lines} == {"200"}, said
    assert len({path for _, _, path in lines}) >= 41, said
    site.no_streams_left()


@needs_nghttp
@pytest.mark.parametrize("options", [
    ["-w", "16"], ["-w", "30", "-W", "30"], ["-w", "10"], ["-p", "1"], ["-p", "256", "--no-dep"],
    ["-b", "255"], ["-H", "te: trailers"], ["--continuation"], ["--no-content-length"], ["--expect-continue"],
    ["--hexdump"], ["--encoder-header-table-size", "0"], ["--header-table-size", "0"], ["-M", "1"]],
    ids=lambda options: " ".join(options))
def test_an_upload_and_a_download_with(site, options, tmp_path):
    upload = tmp_path / "upload"
    upload.write_bytes(site.content)
    if "--hexdump" not in options:
        assert site.nghttp(*options, paths=["/files/big"]) == site.content
    said = site.nghttp(*options, "-d", upload, "--trailer", "x-sum: 1", paths=["/digest"])
    assert re.search(rb'"bytes": ?%d\b' % (3 * MIB), said), said[-300:]
    site.no_streams_left()


@needs_nghttp
def test_a_window_of_one_byte(site):
    assert site.nghttp("-w", "1", paths=["/files/1.js"]) == b"j" * 1000
    assert site.nghttp("-w", "1", "-W", "1", paths=["/x"]) == b"ok GET"
    site.no_streams_left()


@needs_nghttp
def test_a_timeout_of_the_client_leaves_nothing_behind(site):
    site.nghttp("-t", "0.3s", paths=["/pieces/never"], check=False)
    site.no_streams_left()


@needs_nghttp
def test_an_upgrade_from_http1_is_not_taken_up(site):
    said = subprocess.run(["nghttp", "-u", "-n", "-v", "-H", f"host: {HOST}",
                           f"http://127.0.0.1:{site.control.proxy_port}/"], capture_output=True, timeout=30)
    assert b"HTTP/1.1 200" in said.stdout and b"HTTP Upgrade failed" in said.stdout + said.stderr, said


@needs_nghttp
def test_trailers_are_shown_behind_the_body(world):
    backend = world.backend()
    chunked = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
    backend.on("/trailers", lambda request: answer(200, chunked, b"3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n"))
    control = world.control()
    world.agent(control, backend)
    for fields, has_trailer in ((["-H", "te: trailers"], True), ([], True)):
        done = subprocess.run(["nghttp", "-nv", "-H", f":authority: {HOST}", *fields,
                               f"http://127.0.0.1:{control.proxy_port}/trailers"], capture_output=True, timeout=30)
        assert (b"x-sum: 1" in re.sub(rb"\x1b\[[0-9;]*m", b"", done.stdout)) == has_trailer, done.stdout


@needs_wrk
def test_wrk_finds_no_error_on_two_hundred_connections(site):
    done = subprocess.run(["wrk", "-t", "2", "-c", "200", "-d", "3s", "--timeout", "20s", "-H", f"Host: {HOST}",
                           f"http://127.0.0.1:{site.control.proxy_port}/"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
    assert int(re.search(r"(\d+) requests in", done.stdout)[1]) > 200, done.stdout
    site.no_streams_left()
