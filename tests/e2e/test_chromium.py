"""A browser through control plane and agent: Chromium, by HTTP/1.1 in clear and by HTTP/2 under TLS.

What the page does is in browser/page.mjs; what it must find is here."""

import base64
import hashlib
import os
import pathlib
import subprocess
import time

import pytest

import chromium
from browser_backend import BrowserBackend
from harness import APP_DOMAIN, until

PAGE = pathlib.Path(__file__).with_name("browser")
HOST = f"myapp.{APP_DOMAIN}"
PROTOCOLS = {"http": "http/1.1", "https": "h2"}
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"><rect width="7" height="7"/></svg>'
KIB, MIB = 1024, 1024 * 1024

pytestmark = pytest.mark.skipif(not chromium.is_there(), reason="no chromium: apt-get install chromium")


def spki_digest(certificate):
    """What Chromium knows a certificate by that it is to trust."""
    key = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key.stdout, check=True,
                         capture_output=True)
    return base64.b64encode(hashlib.sha256(der.stdout).digest()).decode()


class Site:
    """A backend behind a control plane in clear and one under TLS, and a browser that knows both."""

    def __init__(self, world):
        folder, tls = world.path / "files", world.make_tls()
        folder.mkdir()
        for file in PAGE.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "picture.svg").write_text(PICTURE)
        (folder / "again.txt").write_text("again")
        self.backend, self.downloads = BrowserBackend(folder), world.path / "downloads"
        self.controls = {
            "http": world.control(),
            "https": world.control(EE_DB_PATH=world.path / "second.db", EE_PROXY_TLS_CERT=tls["EE_TLS_CERT"],
                                   EE_PROXY_TLS_KEY=tls["EE_TLS_KEY"])}
        for scheme, control in self.controls.items():
            world.agent(control, self.backend, EE_HEALTH_INTERVAL_SEC=60, EE_STATE_DIR=world.path / scheme)
        self.browser = chromium.Chromium(
            world.path / "profile", f"--host-resolver-rules=MAP {HOST} 127.0.0.1, MAP * ~NOTFOUND",
            f"--ignore-certificate-errors-spki-list={spki_digest(tls['EE_TLS_CERT'])}",
            f"--unsafely-treat-insecure-origin-as-secure={self.base('http')}")  # Digests are for secure pages only.

    def base(self, scheme):
        return f"{scheme}://{HOST}:{self.controls[scheme].proxy_port}"


class Page:
    """One tab with the page, by one of the two ways."""

    def __init__(self, site, scheme):
        self.site, self.scheme, self.base, self.control = site, scheme, site.base(scheme), site.controls[scheme]
        self.open()

    def open(self):
        self.tab = self.site.browser.open(f"{self.base}/files/index.html")
        self.is_open = True

    def do(self, call):
        return self.tab.evaluate(f"page.{call}")

    def close(self):
        """When the browser said that the tab was gone."""
        self.is_open = False
        return self.tab.close()

    def no_stream_is_left(self):
        until(lambda: self.control.app_agents("myapp")[0]["open_streams"] == 0, what="no stream is left open")


@pytest.fixture(scope="module")
def site(shared_world):
    site = Site(shared_world)
    with site.browser:
        yield site
    site.backend.stop()


@pytest.fixture(params=["http", "https"])
def page(site, request):
    """At the end no stream is open, and neither scripts nor console have complained."""
    site.backend.forget()
    page = Page(site, request.param)
    yield page
    complaints = page.tab.complaints()
    if page.is_open:
        page.close()
    page.no_stream_is_left()
    assert complaints == []


def test_a_page_and_all_of_its_parts_come_by_the_protocol_that_was_agreed(page):
    assert page.tab.evaluate("document.querySelector('#told').textContent") == "ready"
    assert page.tab.evaluate("getComputedStyle(document.querySelector('#told')).color") == "rgb(1, 2, 3)"
    assert page.do("pictures(60)") == [7] * 60
    parts = page.do("parts()")
    assert {part["protocol"] for part in parts} == {PROTOCOLS[page.scheme]}
    assert {part["status"] for part in parts} == {200}
    sizes = {path: {part["bytes"] for part in parts if part["path"] == path} for path in {part["path"] for part in parts}}
    names = ["style.css", "page.mjs", "bytes.mjs"]
    assert sizes == {"/files/picture.svg": {len(PICTURE)},
                     **{f"/files/{name}": {(PAGE / name).stat().st_size} for name in names}}


def test_what_the_browser_has_already_is_not_sent_again(page):
    since = len(page.control.access)
    assert page.do("revalidates()") == [[200, 5], [200, 5]]
    for status in (200, 304):
        page.control.wait_access(since=since, path="/files/again.txt", status=status)


def test_each_event_comes_before_the_next_is_sent(page):
    times = page.do("turns()")
    assert [told["data"] for told in times] == [str(number) for number in range(10)]
    for told, following in zip(times, times[1:]):
        assert told["came"] <= told["asked"] < following["came"], times


def test_an_event_stream_that_ended_goes_on_where_it_was(page):
    assert page.do("comesAgain(9)") == [str(number) for number in range(1, 10)]


def test_a_websocket_brings_back_texts_and_bytes(page):
    found = page.do(f"socket({[0, 1, 125, 126, 65535, 65536, 3 * MIB]})")
    assert found == {"wrong": [], "protocol": "echo", "extensions": "permessage-deflate", "code": 4001,
                     "reason": "as asked", "wasClean": True}
    # On a connection of HTTP/2 it is one of its streams (RFC 8441).
    asked = {"http": ("GET", 101), "https": ("CONNECT", 200)}[page.scheme]
    page.control.wait_access(path="/ws", method=asked[0], status=asked[1])


def test_an_answer_is_read_while_it_is_written(page):
    assert page.do("pieces()") == ["first\n", "second\n", True]


@pytest.mark.parametrize("page", ["https"], indirect=True)
def test_a_body_is_sent_while_it_is_made(page):
    """Chromium streams a request's body over HTTP/2 only."""
    assert page.do("streamedUpload(5, 1000)") == {"bytes": 5000, "pieces": 5}
    assert page.do(f"streamedUpload(5, {MIB})")["bytes"] == 5 * MIB


def test_large_bodies_come_whole_both_ways(page):
    assert page.do("download(32)") == page.site.backend.digests[32]
    assert page.do(f"upload({32 * MIB + 1})")
    assert page.do(f"form({3 * MIB})") == {"name": 5, "file": 3 * MIB}


def test_a_large_file_is_saved_whole(page):
    folder = page.site.downloads / page.scheme
    page.site.browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)
    since = page.site.browser.mark()
    page.tab.evaluate("void (location = '/attachment/256')")
    _, done = page.site.browser.wait("Browser.downloadProgress", lambda said: said["state"] != "inProgress", since)
    assert (done["state"], done["receivedBytes"]) == ("completed", 256 * MIB)
    with open(folder / "large.bin", "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == page.site.backend.digests[256]
    os.unlink(folder / "large.bin")


def test_redirects_lead_back_to_the_app(page):
    assert page.do("redirect(3)") == {"url": f"{page.base}/landed", "redirected": True, "text": "ok GET"}
    page.tab.navigate(f"{page.base}/redirect/2")
    assert page.tab.evaluate("[location.href, document.body.textContent]") == [f"{page.base}/landed", "ok GET"]


def test_a_redirected_form_keeps_its_body_or_becomes_a_get(page):
    kept = page.do("redirectedPost(307)")
    assert (kept["status"], kept["path"]) == (200, "/digest")
    assert hashlib.sha256(b"a body").hexdigest() in kept["text"]
    assert page.do("redirectedPost(303)") == {"status": 200, "path": "/digest", "text": "ok GET"}


def test_cookies_are_set_one_by_one(page):
    assert page.do("cookies()") == {"sent": {"one": "1", "two": "2"}, "seen": "one=1"}


def give_up(page):
    page.do("leave()")
    return time.monotonic()


def go_elsewhere(page):
    page.tab.navigate("about:blank")
    return time.monotonic()


@pytest.mark.parametrize("leave", [give_up, go_elsewhere, Page.close])
def test_whoever_leaves_is_missed_within_a_second(page, leave):
    """Nothing flows meanwhile: neither side would notice by a write that fails. Three tries: where the machine has no time
    for the browser's processes, its connections end later than it says."""
    backend, kinds, tries = page.site.backend, {"body", "events", "socket"}, []
    while not tries or (max(tries[-1].values()) >= 1 and len(tries) < 3):
        backend.forget()
        if not page.is_open:
            page.open()
        page.do("stay()")
        backend.wait_for(lambda: set(backend.staying) == kinds, "everyone has come")
        gone_at = leave(page)
        backend.wait_for(lambda: set(backend.left) == kinds and not backend.staying, "everyone has left")
        tries.append({kind: left_at - gone_at for kind, left_at in backend.left.items()})
        if leave is go_elsewhere:
            page.close()
    assert max(tries[-1].values()) < 1, tries
