"""What agents owe that leave before the cell has ended, and nodes whose token is gone."""

import json

from harness import ADMIN_TOKEN
from raw_http2 import GOAWAY, SETTINGS as HTTP2_SETTINGS, Http2Connection
from settled_network import HOUR, WINDOW, Network


def test_whom_the_apps_owner_dismisses_owes_nothing_more(network):
    network.prepare(("n1", "drained"), ("n2", "unlisted"))
    control = network.start(HOUR - 50)
    drained = network.agent("n1", "drained")
    network.agent("n2", "unlisted")
    control.wait_event("slots.recorded")  # Both are expected until the cell's end.
    network.ask("/v1/apps/drained/agents/agent-of-n1/drain", 202)
    drained.kill()
    answer = control.request("PUT", "/v1/apps/unlisted/nodes", {"Authorization": f"Bearer {ADMIN_TOKEN}"}, {"nodes": []})
    assert answer.json()["closed_tunnels"] == 1
    assert network.now() < HOUR - 3 * WINDOW, "the machine is too busy: nothing is left to owe"
    for node in ("n1", "n2"):
        assert network.settled(node, "pass")["reasons"] == []
        slot = json.loads(network.bundle(node)[1])["slots"][0]
        assert slot["drained_at_us"], slot


def test_a_node_is_proven_by_its_token_and_lost_with_it(network):
    network.start(0)
    network.node("n1")
    wire = {"app_name": "noded", "network": "sandbox-1", "node_id": "n1"}
    control = network.control

    def refusal(**how):
        agent = control.wire_agent(agent_id="w1", **wire)
        agent.register()
        # The deployed agents' layout: it binds no channel, which this client does not know.
        agent.answer_challenge(agent.expect("attest_request"), legacy=True, **how)
        reason = agent.expect("status", state="invalid")["reason"]
        agent.expect_closed()
        return reason
    assert refusal() == "node_token_invalid"
    assert refusal(node_token="ee_" + "00" * 32) == "node_token_invalid"
    unknown = control.wire_agent(agent_id="w1", **{**wire, "node_id": "n9"})
    unknown.register()
    unknown.answer_challenge(unknown.expect("attest_request"), legacy=True, node_token=network.tokens["n1"])
    assert unknown.expect("status", state="invalid")["reason"] == "node_token_invalid"

    serving = network.agent("n1", "steady")
    rotated = network.ask("/v1/nodes/register", node_id="n1", rotate_token=True)
    assert not control.resolve("steady")["allowed"]  # before the answer
    serving.wait_event("agent.refused", reason="node_token_invalid")
    network.tokens["n1"] = rotated["node_token"]
    serving.kill()
    again = network.agent("n1", "steady")
    network.ask("/v1/nodes/n1/ban", reason="fraud")
    assert not control.resolve("steady")["allowed"]
    again.wait_event("agent.refused", reason="node_banned")
    banned = control.wire_agent(agent_id="w2", **wire)
    banned.register()
    assert banned.expect("status", state="invalid")["reason"] == "node_banned"
    # No token was ever written down.
    assert network.tokens["n1"] not in serving.transcript(1000) + control.transcript(10000)


class V2Agent:
    """An agent of the wire's second version by hand: it may leave without having answered."""

    def __init__(self, network, node, app, agent):
        self.wire = network.control.wire_agent(agent_id=agent, node_id=node, app_name=app,
                                               headers={"Sec-WebSocket-Protocol": "easyenclave.tunnel.v2"})
        self.wire.node_token = network.tokens[node]
        self.wire.register()
        self.wire.send(self.evidence(self.wire.expect("attest_request")))
        self.wire.expect("status", state="ok", reason="attested")
        self.wire.send(Http2Connection.frame(HTTP2_SETTINGS, 0, 0) + Http2Connection.frame(HTTP2_SETTINGS, 1, 0))

    def evidence(self, challenge, **how):
        # The deployed agents' layout: it binds no channel, which this client does not know.
        return self.wire.evidence(challenge["nonce"], legacy=True, **how)

    def leave(self, *words):
        self.wire.send(*words, Http2Connection.frame(GOAWAY, 0, 0, bytes(8)))


def test_nobody_leaves_a_challenge_behind(world):
    network = Network(world)
    leavers = {"n1": "silent", "n2": "wrong", "n3": "right"}
    network.prepare(*leavers.items())
    network.start(HOUR - 45, EE_ATTEST_DEADLINE_SEC=6)
    agents = {node: network.agent(node, app) for node, app in leavers.items()}  # It passes the windows.
    for node, app in leavers.items():
        network.ask("/v1/usage/report", 201, account_id="alice", node_id=node, app_name=app, vcpu_hours="4",
                    period=network.period, report_id="r1")
        leaver = V2Agent(network, node, app, "leaver")
        network.ask(f"/v1/apps/{app}/attest", 202)
        challenge = leaver.wire.expect("attest_request", reason="operator")
        if app == "wrong":
            leaver.leave(leaver.evidence(challenge, report_data=bytes(64)))
        if app == "right":
            leaver.leave(leaver.evidence(challenge))
        if app == "silent":
            leaver.leave()
            leaver.wire.expect("status", state="invalid", reason="attestation_timeout")
    for node, app in leavers.items():
        outcome = network.settled(node, "pass" if app == "right" else "fail")
        assert outcome["reasons"] == ([] if app == "right" else ["attest_miss"]), (app, outcome)
        agents[node].terminate()


def test_who_is_drained_and_comes_back_is_expected_again(world):
    network = Network(world)
    network.prepare(("n1", "shop"), ("n2", "other"))
    network.start(HOUR - 45)
    for node, app in (("n1", "shop"), ("n2", "other")):
        network.ask("/v1/usage/report", 201, account_id="alice", node_id=node, app_name=app, vcpu_hours="4",
                    period=network.period, report_id="r1")
    back, gone = network.agent("n1", "shop"), network.agent("n2", "other")
    for agent, app in ((back, "shop"), (gone, "other")):
        network.ask(f"/v1/apps/{app}/agents/agent-of-{'n1' if app == 'shop' else 'n2'}/drain", 202)
        mark = agent.mark()
        agent.wait_event("agent.serving", 20, since=mark)
    gone.kill()
    assert network.settled("n1", "pass")["reasons"] == []
    assert network.settled("n2", "fail")["reasons"] == ["health_miss"]
    assert back.terminate() == 0
