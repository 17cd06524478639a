"""An app in its owner's hands: made, moved and deleted by the admin; who may serve it, which release gets how much, and
its agents drained by its own token."""

import collections
import json
import signal

import pytest

from harness import ADMIN_TOKEN, lasting_port, until
from simulated_platform import eectl
from wire_agent import text_answer

REPO, NETWORK = "org/repo", "sandbox-1"


class Owner:
    """Calls of a control plane by the admin, or by an app's token."""

    def __init__(self, control):
        self.control, self.tokens = control, {}

    def call(self, method, path, body=None, by="admin"):
        token = ADMIN_TOKEN if by == "admin" else self.tokens.get(by, by)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.control.request(method, path, {"Authorization": f"Bearer {token}"}, data)

    def ok(self, method, path, body=None, by="admin", status=200):
        answer = self.call(method, path, body, by)
        assert answer.status == status, answer
        return answer.json()

    def make(self, app="myapp", status=201, **more):
        made = self.ok("POST", "/v1/apps", {"app_name": app, "repo": REPO, "network": NETWORK, **more}, status=status)
        if made["token"]:
            self.tokens[app] = made["token"]
        return made

    def nodes(self, nodes, app="myapp", by="admin"):
        return self.ok("PUT", f"/v1/apps/{app}/nodes", {"nodes": nodes}, by)

    def rollout(self, weights, app="myapp", by="admin"):
        answer = self.ok("PUT", f"/v1/apps/{app}/rollout", {"weights": weights}, by)
        return {share["release_tag"]: (share["weight"], share["eligible_agents"]) for share in answer["rollout"]}

    def register_node(self, node):
        answer = self.control.post("/v1/nodes/register", {"node_id": node, "capacity_vcpus": 8}, {
            "Authorization": f"Bearer {ADMIN_TOKEN}", "Idempotency-Key": f"register-{node}"})
        assert answer.status == 201, answer
        return answer.json()["node_token"]


def refused(answer, status, reason):
    assert (answer.status, answer.reason) == (status, reason), answer


def test_a_name_is_reserved_and_its_token_is_for_it_alone(world):
    control = world.control()
    owner = Owner(control)
    made = owner.make(billing_account="alice")
    assert made["token"].startswith("ee_app_") and len(made["token"]) == 71 and made["billing_account"] == "alice"
    owner.make("other")
    again = owner.make(status=200)
    assert again["token"] is None and again["secret_omitted"] is True and again["billing_account"] == "alice"
    assert control.resolve("myapp")["status"] == "offline"
    stranger = control.wire_agent(repo="evil/repo")
    stranger.register()
    assert stranger.expect("status", state="invalid")["reason"] == "app_bound_to_other_repo"
    assert owner.call("GET", "/v1/apps/myapp", by="myapp").status == 200
    for method, path, body in (("GET", "/v1/apps/myapp", None), ("GET", "/v1/apps/nobody", None),
                               ("PUT", "/v1/apps/myapp/nodes", {"nodes": []}),
                               ("PUT", "/v1/apps/myapp/rollout", {"weights": {}}),
                               ("POST", "/v1/apps/myapp/agents/a/drain", {})):
        refused(owner.call(method, path, body, "other"), 403, "forbidden")
    for method, path in (("GET", "/v1/apps"), ("POST", "/v1/apps"), ("DELETE", "/v1/apps/myapp"),
                         ("POST", "/v1/apps/myapp/attest"), ("POST", "/v1/apps/myapp/allowlist"), ("GET", "/metrics"),
                         ("GET", "/v1/balances/alice"), ("POST", "/v1/accounts")):
        refused(owner.call(method, path, by="myapp"), 403, "forbidden")
    refused(owner.call("GET", "/v1/apps/myapp", by="ee_app_" + "0" * 64), 401, "unauthorized")
    before = owner.tokens["myapp"]
    assert owner.make(status=200, rotate_token=True)["token"] not in (None, before)
    refused(owner.call("GET", "/v1/apps/myapp", by=before), 401, "unauthorized")
    assert owner.call("GET", "/v1/apps/myapp", by="myapp").status == 200
    assert owner.tokens["myapp"] not in str(control.log) and before not in str(control.log)


def test_a_call_made_again_under_its_key_is_answered_again_and_changes_nothing(world):
    world.allow("org/new", "v0.1.3")
    control = world.control()

    def make(key, **body):
        return control.post("/v1/apps", {"app_name": "myapp", "repo": REPO, "network": NETWORK, **body},
                            {"Authorization": f"Bearer {ADMIN_TOKEN}", "Idempotency-Key": key})

    first = make("k1", rotate_token=True)
    assert first.status == 201 and first.header("Idempotency-Replayed") is None
    token = first.json()["token"]
    shown = {**first.json(), "token": None, "secret_omitted": True}
    again = make("k1", rotate_token=True)
    assert (again.status, again.header("Idempotency-Replayed"), again.json()) == (201, "true", shown)
    own = {"Authorization": f"Bearer {token}"}
    assert control.get("/v1/apps/myapp", own).status == 200, "the token is the first one still"
    refused(make("k1"), 422, "idempotency_key_reused")
    refused(make("k 2"), 422, "invalid_field:idempotency_key")
    # A move that comes late, again, does not undo what was said since.
    moved = make("k2", repo="org/new")
    assert (moved.status, moved.json()["repo"]) == (200, "org/new")
    assert make("k3").json()["repo"] == REPO
    assert make("k2", repo="org/new").body == moved.body
    assert control.resolve("myapp")["repo"] == REPO
    # What was refused is not remembered.
    refused(make("k4", network="nowhere"), 422, "invalid_network")
    control.kill()
    control = world.control()
    again = make("k1", rotate_token=True)
    assert (again.status, again.header("Idempotency-Replayed"), again.json()) == (201, "true", shown)
    assert control.resolve("myapp")["repo"] == REPO and control.get("/v1/apps/myapp", own).status == 200
    calls = [item for item in control.admin_get("/v1/audit").json()["items"] if item["route"] == "/v1/apps"]
    assert len(calls) == 4, calls


def test_an_apps_token_reaches_no_app(world):
    control = world.control()
    owner = Owner(control)
    owner.make()
    control.wire_agent().attest().serve()
    bearer = {"Authorization": f"Bearer {owner.tokens['myapp']}"}
    seen = control.request("GET", "/v1/proxy/myapp/x", bearer).json()["headers"]
    assert "authorization" not in {name.lower() for name in seen}
    seen = control.request("GET", "/v1/proxy/myapp/x", {"Authorization": "Bearer of the app's own"}).json()["headers"]
    assert "authorization" in {name.lower() for name in seen}


def test_a_move_closes_the_tunnels_and_keeps_the_token(world):
    world.allow("org/new", "v0.1.3")
    control = world.control()
    owner = Owner(control)
    owner.make()
    wire = control.wire_agent().attest().serve()
    assert control.visit("myapp", "/").status == 200
    moved = owner.make(status=200, repo="org/new")
    assert moved["closed_tunnels"] == 1 and moved["token"] is None
    assert wire.expect("status", state="invalid")["reason"] == "app_bound_to_other_repo"
    assert wire.expect_closed() == 1008
    assert control.visit("myapp", "/").status == 503
    assert owner.ok("GET", "/v1/apps/myapp", by="myapp")["repo"] == "org/new"
    control.wire_agent(repo="org/new").attest().serve()
    assert control.visit("myapp", "/").status == 200


def test_only_listed_nodes_serve(world):
    control = world.control(**world.make_tls())
    owner = Owner(control)
    owner.make()
    tokens = {node: owner.register_node(node) for node in ("n1", "n2")}
    bare = control.wire_agent(agent_id="bare").attest(legacy=True).serve()
    agents = {node: world.agent(control, world.backend(), EE_NODE_ID=node, EE_NODE_TOKEN=token, EE_AGENT_ID=node,
                                EE_TLS_CA=world.tls_ca, EE_STATE_DIR=world.path / node, wait=False)
              for node, token in tokens.items()}
    until(lambda: control.resolve("myapp")["agents"] == 3, what="all three serve")

    def connected():
        return sorted(agent["agent_id"] for agent in control.app_agents("myapp") if agent["connected"])
    answer = owner.nodes(["n1"], by="myapp")
    assert (answer["nodes"], answer["closed_tunnels"]) == (["n1"], 2)
    assert connected() == ["n1"], "out before the next request"
    assert bare.expect("status", state="invalid")["reason"] == "join_not_allowed"
    for _ in range(10):
        assert control.visit("myapp", "/").status == 200
    again = control.wire_agent(agent_id="again", node_id="n3")
    again.register()
    assert again.expect("status", state="invalid")["reason"] == "join_not_allowed"
    agents["n2"].wait_event("agent.refused", reason="join_not_allowed")
    # An id of the list is nothing without the node's token.
    forged = control.wire_agent(agent_id="forged", node_id="n1")
    forged.register()
    forged.answer_challenge(forged.expect("attest_request"), legacy=True)
    assert forged.expect("status", state="invalid")["reason"] == "node_token_invalid"
    assert owner.nodes([])["closed_tunnels"] == 1
    assert control.visit("myapp", "/").status == 503
    owner.nodes(None)
    until(lambda: connected() == ["n1", "n2"], what="both have come back")


@pytest.mark.parametrize("join, reason", [("node", "join_not_allowed"), ("listed", "join_not_allowed")])
def test_a_network_says_who_may_join(world, join, reason):
    file = world.path / "networks.toml"
    file.write_text("[sandbox-1]\n")
    control = world.control(EE_NETWORKS_FILE=file)
    wire = control.wire_agent(agent_id="w1").attest().serve()
    assert control.visit("myapp", "/").status == 200
    file.write_text(f'[sandbox-1]\njoin = "{join}"\n')
    control.signal(signal.SIGHUP)
    assert wire.expect("status", state="invalid")["reason"] == reason
    newcomer = control.wire_agent(agent_id="w2")
    newcomer.register()
    assert newcomer.expect("status", state="invalid")["reason"] == reason
    assert control.visit("myapp", "/").status == 503


def test_without_an_allowlist_only_an_app_of_the_admin_is_served(world):
    control = world.control()
    owner = Owner(control)
    wire = control.wire_agent(release_tag="v9")
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"))
    assert wire.expect("status", state="invalid")["reason"] == "allowlist_missing"
    owner.make()
    control.wire_agent(release_tag="v9").attest().serve()
    assert control.visit("myapp", "/").status == 200
    assert owner.ok("DELETE", "/v1/apps/myapp")["closed_tunnels"] == 1
    wire = control.wire_agent(release_tag="v9")
    wire.register()
    wire.answer_challenge(wire.expect("attest_request"))
    assert wire.expect("status", state="invalid")["reason"] == "allowlist_missing"


def test_an_allowlist_that_is_withdrawn_ends_its_agents_at_the_next_verdict(world):
    control = world.control(EE_ALLOWLIST_TTL_SEC=1)
    owner = Owner(control)
    wire = control.wire_agent().attest().serve()
    (world.allowlist_dir / REPO / "v0.1.3.json").unlink()
    assert control.visit("myapp", "/").status == 200, "until then it serves"

    def is_out():
        owner.call("POST", "/v1/apps/myapp/attest")
        return wire.closed
    until(is_out, 10, "the allowlist's absence counts")
    assert wire.statuses()[-1] == ("invalid", "allowlist_missing")
    assert control.visit("myapp", "/").status == 503


# ---- Rollout -----------------------------------------------------------------------------------------------


def served_by(control, requests):
    return collections.Counter(control.visit("myapp", "/").text for _ in range(requests))


def releases(world, control, *tags):
    agents = {}
    for tag in tags:
        world.allow(tag=tag)
        agents[tag] = control.wire_agent(agent_id=f"of-{tag}", release_tag=tag).attest().serve(text_answer(tag))
    return agents


def test_a_rollout_is_by_weight_and_is_taken_back(world):
    control = world.control()
    owner = Owner(control)
    owner.make()
    agents = releases(world, control, "v1", "v2", "v3")
    assert owner.rollout({"v1": 90, "v2": 10}, by="myapp") == {"v1": (90, 1), "v2": (10, 1), "v3": (0, 1)}
    shares = served_by(control, 400)
    assert set(shares) == {"v1", "v2"} and 15 <= shares["v2"] <= 75, shares  # 40 on average, 6 standard deviations
    details = {agent["agent_id"]: agent["status"] for agent in control.app_agents("myapp")}
    assert details == {"of-v1": "active", "of-v2": "active", "of-v3": "draining"}
    assert owner.rollout({"v3": 100}) == {"v1": (0, 1), "v2": (0, 1), "v3": (100, 1)}
    assert served_by(control, 20) == {"v3": 20}, "pinned"
    owner.rollout({"v1": 1, "v2": 0})
    assert served_by(control, 20) == {"v1": 20}, "rolled back"
    agents["v1"].close()
    answer = until(lambda: (a := control.visit("myapp", "/")).status != 502 and a)
    assert (answer.status, answer.reason) == (503, "draining"), "nothing but v1 may serve"
    assert control.get("/v1/authz/myapp").status == 403
    owner.rollout({"v1": 90, "v2": 10})
    assert served_by(control, 10) == {"v2": 10}, "the share of a release without agents goes to the rest"
    assert owner.rollout({}) == {"v2": (None, 1), "v3": (None, 1)}
    assert set(served_by(control, 50)) == {"v2", "v3"}


# ---- Agents ------------------------------------------------------------------------------------------------


def test_an_agent_is_drained_by_the_apps_owner(world):
    control = world.control()
    owner = Owner(control)
    owner.make()
    wires = [control.wire_agent(agent_id=name).attest().serve(text_answer(name)) for name in ("a", "b")]
    refused(owner.call("POST", "/v1/apps/myapp/agents/c/drain", {}, "myapp"), 404, "unknown_agent")
    refused(owner.call("POST", "/v1/apps/nobody/agents/a/drain", {}), 404, "unknown_app")
    answer = owner.ok("POST", "/v1/apps/myapp/agents/a/drain", {}, "myapp", 202)
    assert answer == {"app_name": "myapp", "agent_id": "a", "status": "draining"}
    assert served_by(control, 20) == {"b": 20}
    assert wires[0].expect("status", state="draining")["reason"] == "draining"
    assert wires[0].expect_closed() == 1001
    refused(owner.call("POST", "/v1/apps/myapp/agents/a/drain", {}, "myapp"), 404, "unknown_agent")


def test_agents_are_challenged_now_and_not_twice_at_once(world):
    control = world.control()
    owner = Owner(control)
    wires = [control.wire_agent(agent_id=name).attest().serve(challenges=False) for name in ("a", "b")]
    for _ in range(3):
        assert owner.ok("POST", "/v1/apps/myapp/attest", status=202) == {"app_name": "myapp", "challenged": 2}
    order = control.wait_event("app.challenging", app="myapp", by="admin", agents=2)
    assert order["client"] == "127.0.0.1" and order["request_id"]
    control.wait_event("challenges.made")
    assert not control.events("networks.challenging")
    for wire in wires:
        challenge = wire.expect("attest_request", reason="operator")
        wire.answer_challenge(challenge)
        wire.expect("status", state="ok")
        assert len(wire.challenges()) == 2, "one at the start, one now"
    refused(owner.call("POST", "/v1/apps/nobody/attest"), 404, "unknown_app")


def test_a_deleted_app_is_free_for_whoever_attests(world):
    control = world.control()
    owner = Owner(control)
    owner.make()
    agent = world.agent(control, world.backend())
    assert owner.ok("DELETE", "/v1/apps/myapp") == {"app_name": "myapp", "closed_tunnels": 1}
    refused(owner.call("GET", "/v1/apps/myapp", by="myapp"), 401, "unauthorized")
    agent.wait_event("agent.refused", reason="app_forgotten")
    control.wait_status("myapp", "active")
    assert control.app("myapp")["made_by_admin"] is False
    refused(owner.call("DELETE", "/v1/apps/nobody"), 404, "unknown_app")


def test_front_ends_are_told_yes_or_no(world):
    control = world.control()
    assert (control.get("/v1/authz/myapp").status, control.get("/v1/authz/myapp").body) == (403, b"")
    wire = control.wire_agent().attest().serve()
    answer = control.get("/v1/authz/myapp")
    assert (answer.status, answer.body, answer.header("Content-Type")) == (204, b"", None)
    wire.close()
    until(lambda: control.get("/v1/authz/myapp").status == 403)


# ---- What stays --------------------------------------------------------------------------------------------


def test_every_change_is_in_the_log_with_whoever_made_it(world):
    control = world.control()
    owner = Owner(control)
    owner.make()
    control.wire_agent(agent_id="a1").attest(legacy=True)
    owner.rollout({"v0.1.3": 100}, by="myapp")
    assert owner.call("PUT", "/v1/apps/myapp/rollout", {"weights": 7}, "myapp").status == 422
    owner.ok("POST", "/v1/apps/myapp/attest", status=202)
    owner.ok("POST", "/v1/apps/myapp/agents/a1/drain", by="myapp", status=202)
    owner.nodes(["n1"], by="myapp")
    owner.ok("DELETE", "/v1/apps/myapp")
    listed = control.admin_get("/v1/audit").json()
    calls = [(call["principal"], call["method"], call["route"], call["resource"]) for call in reversed(listed["items"])]
    assert calls == [("admin", "POST", "/v1/apps", None), ("app:myapp", "PUT", "/v1/apps/{app}/rollout", "myapp"),
                     ("admin", "POST", "/v1/apps/{app}/attest", "myapp"),
                     ("app:myapp", "POST", "/v1/apps/{app}/agents/{agent_id}/drain", "myapp/a1"),
                     ("app:myapp", "PUT", "/v1/apps/{app}/nodes", "myapp"),
                     ("admin", "DELETE", "/v1/apps/{app}", "myapp")]
    leaves = {leaf["leaf_index"]: leaf for leaf in control.admin_get("/v1/ledger/entries?limit=500").json()["items"]}
    assert [leaves[call["leaf_index"]]["principal"] for call in listed["items"]] == [call["principal"] for call in listed["items"]]


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_a_restart_keeps_everything(world, end):
    port = lasting_port()
    control = world.control(EE_CONTROL_PORT=port)
    owner = Owner(control)
    owner.make(billing_account="alice")
    owner.make("gone")
    owner.nodes(["n2", "n1", "n2"])
    owner.rollout({"v1": 90, "v2": 10})
    owner.ok("DELETE", "/v1/apps/gone")
    kept = {name: control.app("myapp")[name] for name in
            ("billing_account", "made_by_admin", "has_token", "nodes", "rollout", "created_at", "registration_expires_at")}
    assert kept["nodes"] == ["n1", "n2"]
    getattr(control, end)()
    owner.control = control = world.control(EE_CONTROL_PORT=port)
    after = owner.ok("GET", "/v1/apps/myapp", by="myapp")
    assert {name: after[name] for name in kept} == kept
    refused(owner.call("GET", "/v1/apps/gone"), 404, "unknown_app")
    assert owner.make(status=200)["token"] is None
    wire = control.wire_agent()
    wire.register()
    assert wire.expect("status", state="invalid")["reason"] == "join_not_allowed"


def test_the_same_by_eectl(world):
    control = world.control()
    owner = Owner(control)
    admin = {"EECTL_URL": f"http://127.0.0.1:{control.port}", "EE_ADMIN_TOKEN": ADMIN_TOKEN}
    made = json.loads(eectl("apps", "create", "myapp", "--repo", REPO, "--network", NETWORK, "--json", env=admin).stdout)
    app = {"EECTL_URL": admin["EECTL_URL"], "EECTL_TOKEN": made["token"]}
    releases(world, control, "v1", "v2")
    assert json.loads(eectl("apps", "rollout", "myapp", "v2=1", "--json", env=app).stdout)["rollout"][1]["weight"] == 1
    assert served_by(control, 5) == {"v2": 5}
    eectl("apps", "drain", "myapp", "of-v2", env=app)
    eectl("apps", "rollout", "myapp", "--none", env=app)
    assert served_by(control, 5) == {"v1": 5}
    eectl("apps", "attest", "myapp", env=admin)
    assert eectl("apps", "attest", "myapp", env=app, check=False).returncode != 0
    eectl("apps", "nodes", "myapp", "n1", env=app)
    assert control.app("myapp")["nodes"] == ["n1"] and control.resolve("myapp")["agents"] == 0
    eectl("apps", "nodes", "myapp", "--any", env=app)
    assert "has_token" in eectl("apps", "show", "myapp", env=app).stdout
    eectl("apps", "delete", "myapp", env=admin)
    refused(owner.call("GET", "/v1/apps/myapp"), 404, "unknown_app")
