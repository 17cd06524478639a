"""A GitHub of our own on loopback: releases with their assets, and every way to misbehave.

    github = GitHub(token="ghp_x")              # with `token`: 404 without it, as GitHub hides private repositories
    github.publish(text, tag="v0.1.3")          # release and asset; the same tag again replaces the asset
    github.behave("v0.1.3", "asset", redirect)  # from now on this function answers, in place of the usual
    github.requests                             # [(path, headers, status)], in order
    storage = Storage()                         # another host: where assets are redirected to

A behaviour is called with the Request: answer(status, headers, body), and what tests define with raw()."""

import hashlib
import http.server
import json
import threading
import urllib.parse

ASSET_NAME = "agent-attestation-allowlist.json"


class Request(http.server.BaseHTTPRequestHandler):
    """One request, on its own thread."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            self.server.owner.serve(self)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Who asked has had enough.
        self.close_connection = True

    def answer(self, status, headers=None, body=b""):
        body = body.encode() if isinstance(body, str) else body
        # Counted before it leaves: whoever has the answer finds it counted.
        self.server.owner.requests.append((self.path, dict(self.headers.items()), status))
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def raw(self, data, status=0):
        self.server.owner.requests.append((self.path, dict(self.headers.items()), status))
        self.wfile.write(data)

    def say_nothing(self):
        """Until the server is stopped."""
        self.server.owner.requests.append((self.path, dict(self.headers.items()), 0))
        self.server.owner.stopping.wait(60)

    def log_message(self, *_):
        pass


class Server:
    def __init__(self):
        self.requests, self.stopping = [], threading.Event()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self._http.owner, self._http.daemon_threads = self, True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._http.server_port}"

    def asked(self, part=""):
        """The requests whose path has this part."""
        return [request for request in list(self.requests) if part in request[0]]

    def stop(self):
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()


class Storage(Server):
    """Serves every path with what it was told."""

    def __init__(self, body=b"", behaviour=None):
        super().__init__()
        self.body, self.behaviour = body, behaviour

    def serve(self, request):
        if self.behaviour is not None:
            return self.behaviour(request)
        request.answer(200, {"ETag": '"storage"'}, self.body)


class GitHub(Server):
    def __init__(self, token=None):
        super().__init__()
        self.token = token
        self._releases, self._assets, self._behaviours, self._ids = {}, {}, {}, 0
        self._lock = threading.Lock()

    def publish(self, text, repo="org/repo", tag="v0.1.3", **members):
        """Also replaces the asset of a release: under a new id, as GitHub does. `members` go into its description."""
        data = text if isinstance(text, bytes) else text.encode()
        with self._lock:
            self._ids += 1
            self._assets[str(self._ids)] = (tag, data)
            asset = {"id": self._ids, "name": ASSET_NAME, "size": len(data), "state": "uploaded",
                     "url": f"{self.url}/repos/{repo}/releases/assets/{self._ids}", **members}
            other = {"id": 0, "name": "other.bin", "size": 1, "state": "uploaded", "url": f"{self.url}/other"}
            self._releases[(repo, tag)] = {"id": self._ids, "tag_name": tag, "assets": [other, asset]}
        return hashlib.sha256(data).hexdigest()

    def behave(self, tag, which, behaviour):
        """`which`: "release" or "asset"; None for the behaviour as it should be."""
        with self._lock:
            self._behaviours[(tag, which)] = behaviour

    def serve(self, request):
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return request.answer(404, body='{"message":"Not Found"}')
        parts = [urllib.parse.unquote(part) for part in request.path.split("/")[1:]]
        if parts[:1] != ["repos"] or len(parts) < 6:
            return request.answer(404)
        with self._lock:
            if parts[4] == "tags":
                tag, release = parts[5], self._releases.get((f"{parts[1]}/{parts[2]}", parts[5]))
                body, which = json.dumps(release).encode() if release else None, "release"
            else:
                tag, body = self._assets.get(parts[5], (None, None))
                which = "asset"
            behaviour = self._behaviours.get((tag, which))
        if behaviour is not None:
            return behaviour(request)
        if body is None:
            return request.answer(404, body='{"message":"Not Found"}')
        accepted = "application/vnd.github+json" if which == "release" else "application/octet-stream"
        if request.headers.get("Accept") != accepted or request.headers.get("X-GitHub-Api-Version") is None:
            return request.answer(400)
        etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        if request.headers.get("If-None-Match") == etag:
            return request.answer(304, {"ETag": etag})
        request.answer(200, {"ETag": etag}, body)
