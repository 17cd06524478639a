"""Chromium without a window, driven by the DevTools protocol over a pair of pipes.

    with Chromium(folder) as browser:
        tab = browser.open("http://localhost:8080/")     # as soon as its load event has come
        tab.evaluate("fetch('/x').then((answer) => answer.text())")   # a promise's value, or AssertionError
        tab.navigate(url), tab.close()
        browser.wait("Target.targetDestroyed", lambda said: said["targetId"] == tab.target)"""

import fcntl
import json
import os
import shutil
import subprocess
import threading
import time

WAIT_SECONDS = 60
# It asks nobody but us, shows nothing, and keeps no page, with its streams, for the way back.
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
            "--disable-default-apps", "--no-default-browser-check", "--mute-audio",
            "--disable-features=BackForwardCache", "--remote-debugging-pipe")


def is_there():
    return shutil.which("chromium") is not None


class Chromium:
    """One browser; `folder`: of its profile. `events` are what it said of its own accord, with the time of each."""

    def __init__(self, folder, *switches):
        commands_out, self._commands = _pipe()
        self._said, answers_in = _pipe()
        # It reads commands from descriptor 3 and writes to 4.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bash", "-c", f'exec "$@" 3<&{commands_out} 4>&{answers_in}', "chromium",
             "chromium", *SWITCHES, f"--user-data-dir={folder}", *switches],
            pass_fds=(commands_out, answers_in), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(commands_out)
        os.close(answers_in)
        self.events, self._answers, self._next_id, self._ended = [], {}, 1, False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.call("Target.setDiscoverTargets", discover=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        os.close(self._commands)

    def _read(self):
        with open(self._said, "rb") as said:
            waiting = b""
            while part := said.read1(1 << 16):
                *messages, waiting = (waiting + part).split(b"\0")
                with self._changed:
                    for message in map(json.loads, messages):
                        if "id" in message:
                            self._answers[message["id"]] = message
                        else:
                            self.events.append((time.monotonic(), message))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _await(self, condition, what, timeout):
        """The first value of `condition` that is not None."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while (value := condition()) is None:
                left = deadline - time.monotonic()
                assert left > 0 and not self._ended, f"chromium: no {what}" + (" before its end" if self._ended else "")
                self._changed.wait(left)
        return value

    def call(self, method, session=None, timeout=WAIT_SECONDS, **parameters):
        """The result of a DevTools command."""
        with self._changed:
            number, self._next_id = self._next_id, self._next_id + 1
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self._await(lambda: self._answers.pop(number, None), f"answer to {method}", timeout)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def mark(self):
        """A position in the events: `since` of wait()."""
        return len(self.events)

    def wait(self, event, matches=lambda parameters: True, since=0, session=None, timeout=WAIT_SECONDS):
        """When that event came, and its parameters; as soon as it has."""
        def find():
            for at, message in self.events[since:]:
                if (message["method"], message.get("sessionId")) == (event, session) and matches(message["params"]):
                    return at, message["params"]
        return self._await(find, event, timeout)

    def open(self, url):
        """A tab whose page at that URL has loaded."""
        return Tab(self).navigate(url)


class Tab:
    def __init__(self, browser):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, timeout=WAIT_SECONDS, **parameters):
        return self.browser.call(method, self.session, timeout, **parameters)

    def wait(self, event, **how):
        return self.browser.wait(event, session=self.session, **how)

    def navigate(self, url):
        since = self.browser.mark()
        went = self.call("Page.navigate", url=url)
        assert "errorText" not in went, f"{url}: {went['errorText']}"
        self.wait("Page.loadEventFired", since=since)
        return self

    def evaluate(self, script, timeout=WAIT_SECONDS):
        """The value of an expression of the page's; of a promise, once it is settled."""
        found = self.call("Runtime.evaluate", timeout, expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, f"{script}: {found['exceptionDetails']}"
        return found["result"].get("value")

    def complaints(self):
        """What the page's console and its scripts have to say against us."""
        said = [message for _, message in self.browser.events if message.get("sessionId") == self.session]
        return [message["params"] for message in said if message["method"] == "Runtime.exceptionThrown" or (
            message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error")]

    def close(self):
        """When the browser said that it was gone."""
        self.browser.call("Target.closeTarget", targetId=self.target)
        return self.browser.wait("Target.targetDestroyed", lambda said: said["targetId"] == self.target)[0]


def _pipe():
    """Both ends, away from the descriptors that Chromium wants for itself."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved
