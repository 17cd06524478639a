"""Who asks the control listener, and the app whose agent speaks v1."""

import base64
import json

from harness import ADMIN_TOKEN
from visitors import REFUSALS, Broken, Visitor, host


class Envelope(Visitor):
    """POST /v1/proxy/{app}."""

    pause_s = 0.05

    def round(self, app):
        body = self.random.randbytes(self.random.randrange(64 * 1024))
        self.check(self.soak.control.envelope(app, "POST", "/echo", body=body, timeout=90), body)
        self.right(app)


class OldApp(Visitor):
    """Both ways in to the app whose agent is of version 1 and echoes what it was asked as JSON."""

    apps, pause_s = ("old",), 0.05

    def round(self, app):
        body = self.random.randbytes(self.random.randrange(32 * 1024))
        target = f"/old/{self.random.randrange(1 << 30)}"
        if self.random.random() < 0.3:
            answer = self.soak.control.envelope(app, "POST", target, body=body, timeout=90)
        else:
            with self.connect() as connection:
                answer = connection.request("POST", target, host(app), body=body)
        if answer.status in REFUSALS:
            raise Broken(f"{answer.status} {answer.text[:200]}")
        assert answer.status == 200, answer
        asked = json.loads(answer.body)
        assert asked["path"] == target and base64.b64decode(asked["body_b64"]) == body, (target, answer.body[:200])
        self.right(app)


# What is read: path, as whom, status; of an app's path {app} is replaced.
READS = (
    ("/metrics", ADMIN_TOKEN, 200), ("/v1/apps", ADMIN_TOKEN, 200), ("/v1/apps/{app}", ADMIN_TOKEN, 200),
    ("/v1/apps/{app}/evidence", None, 200), ("/health", None, 200), ("/healthz", None, 200), ("/readyz", None, 200),
    ("/openapi.yaml", None, 200), ("/v1/resolve/nowhere", None, 404), ("/v1/apps", None, 401), ("/nowhere", None, 404))


class ApiReader(Visitor):
    """Reads of the API; what the undisturbed app's resolution says must not change."""

    pause_s = 0.05

    def round(self, app):
        if self.random.random() < 0.3:
            answer = self.soak.control.get(f"/v1/resolve/{app}")
            if app == "steady":
                said = answer.json()
                if (answer.status, said["status"], said["allowed"]) != (200, "active", True):
                    raise Broken(f"{answer}")
            return self.right(app)
        path, token, status = self.random.choice(READS)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = self.soak.control.request("GET", path.format(app=app), headers, timeout=90)
        assert answer.status == status, (path, answer)
        if (answer.header("Content-Type") or "").startswith("application/json"):
            json.loads(answer.body)
        self.right(app)
