"""Attestation fraud: what challenges show of a node that cheats is proposed to the admin, who decides."""

import base64
import hashlib
import json

from event_stream import EventStream
from harness import until
from ledger_client import SETTINGS, Ledger
from market import Market
from simulated_platform import eectl
from wire_agent import AgentKey


def two_nodes(world, **settings):
    # No proposal for fraud is carried out by this.
    market = Market(world, EE_SLASH_AUTO="true", **settings)
    market.node("n1")
    market.node("n2")
    return market


def honest_evidence(market):
    """The quote of n2's agent, as everybody may read it."""
    return market.control.get("/v1/apps/myapp/evidence").json()["items"][0]


def come(market, node, **identity):
    wire = market.control.wire_agent(**{"agent_id": f"agent-of-{node}", "node_id": node, **identity})
    wire.node_token = market.ledger.tokens[node]
    wire.register()
    return wire, wire.expect("attest_request")


def relay(market, answer, **identity):
    """An agent of n1 answers with the quote that n2's agent gave. The challenge that it was to answer."""
    wire, challenge = come(market, "n1", **identity)
    wire.answer_challenge(challenge, quote=answer["quote"], report_data=bytes.fromhex(answer["report_data"]))
    wire.expect("status", state="invalid", reason="report_data_mismatch")
    wire.close()
    return challenge


def proposals(market):
    return market.ledger.ok("/v1/slashings?status=proposed")["items"]


def proposed(market, count):
    until(lambda: len(proposals(market)) >= count, what=f"{count} proposals")
    items = proposals(market)
    assert len(items) == count, items
    return items


def slash(market, proposal):
    return market.ledger.post(f"/v1/nodes/{proposal['node_id']}/slash",
                              {"cause": proposal["cause"], "event_ids": proposal["event_ids"], "reason": "relayed"})


def test_a_relayed_quote_costs_the_stake_once_the_admin_says_so(world):
    market = two_nodes(world)
    honest = market.agent("n2")
    evidence = honest_evidence(market)
    challenge = relay(market, evidence)
    [proposal] = proposed(market, 1)
    assert (proposal["node_id"], proposal["cause"], proposal["amount_usd"]) == ("n1", "attestation_fraud", "10")
    quote = base64.b64decode(evidence["quote"])
    found = proposal["evidence"]
    assert (found["kind"], found["quote_sha256"]) == ("foreign_quote", hashlib.sha256(quote).hexdigest())
    assert {**found["challenge"], "at": None} == {"agent_id": "agent-of-n1", "app_name": "myapp", "node_id": "n1",
                                                  "at": None, "nonce": challenge["nonce"]}
    assert {**found["other"], "at": None} == {"agent_id": "agent-of-n2", "app_name": "myapp", "node_id": "n2", "at": None,
                                              "report_data_sha256": evidence["id"]}

    # It is kept, once, and nothing has happened to the node; also after a restart.
    relay(market, evidence)
    market.control.terminate()
    market.control = world.control(**market.settings)
    market.ledger.control = market.control
    honest = market.agent("n2")
    relay(market, evidence)
    relay(market, honest_evidence(market), agent_id="another")
    [again, second] = proposed(market, 2)
    assert again == proposal and second["event_ids"] != proposal["event_ids"], "n2's new challenge, not the old one"
    assert market.ledger.balance("stake:n1") == ("10", "0")
    node = market.ledger.ok("/v1/nodes/n1")
    assert not node["banned"]
    leaves = market.ledger.ok("/v1/ledger/entries?limit=500")["items"]
    assert any("foreign_quote" in str(leaf) and "agent-of-n2" in str(leaf) for leaf in leaves)
    shown = eectl("node", "slashings", "--status", "proposed", env={
        "EECTL_URL": f"http://127.0.0.1:{market.control.port}", "EECTL_TOKEN": market.ledger.tokens["admin"]}).stdout
    assert "foreign_quote" in shown and "agent-of-n2" in shown, shown

    done = slash(market, proposal)
    assert (done.status, done.json()["amount_usd"]) == (201, "10")
    assert done.json()["evidence"] == found
    assert market.ledger.balance("stake:n1") == ("0", "0")
    assert market.ledger.ok("/v1/nodes/n1")["banned"]
    assert not market.ledger.ok("/v1/nodes/n2")["banned"]
    refused = slash(market, proposal)
    assert (refused.status, refused.reason) == (409, "already_slashed")
    wire = market.control.wire_agent(agent_id="back", node_id="n1")
    wire.register()
    wire.expect("status", state="invalid", reason="node_banned")
    assert ("ok", "attested") in honest.statuses() and not honest.closed


def test_a_stale_or_garbled_answer_proposes_nothing(world):
    market = two_nodes(world, EE_ATTEST_DEADLINE_SEC=4)
    market.agent("n2")
    late = market.agent("n1", answers_challenges=False)
    first = late.challenges()[0]
    # Its own earlier answer.
    market.control.post("/v1/apps/myapp/attest", {}, market.ledger.headers("admin"))
    challenge = late.expect("attest_request", reason="operator")
    stale = late.evidence(first["nonce"])
    late.send({**stale, "nonce": challenge["nonce"]})
    late.expect("status", state="invalid", reason="report_data_mismatch")
    late.close()
    # Bytes that nobody asked for; a relayed quote that is broken; no answer; another node's token.
    wire, challenge = come(market, "n1", agent_id="garbled")
    wire.answer_challenge(challenge, report_data=bytes(64))
    wire.expect("status", state="invalid", reason="report_data_mismatch")
    answer = honest_evidence(market)
    other = {"report_data": bytes.fromhex(answer["report_data"])}
    broken = bytearray(base64.b64decode(answer["quote"]))
    broken[700] ^= 1  # In the signature.
    wire, challenge = come(market, "n1", agent_id="broken")
    wire.answer_challenge(challenge, quote=base64.b64encode(broken).decode(), **other)
    wire.expect("status", state="invalid")
    wire, challenge = come(market, "n1", agent_id="mute")
    wire.expect("status", state="invalid", reason="attestation_timeout")
    wire, challenge = come(market, "n1", agent_id="thief")
    wire.answer_challenge(challenge, quote=answer["quote"], node_token=market.ledger.tokens["n2"], **other)
    wire.expect("status", state="invalid")
    # Whoever was looked up before this one has been.
    relay(market, answer, agent_id="cheat")
    [proposal] = proposed(market, 1)
    assert proposal["evidence"]["challenge"]["agent_id"] == "cheat"


def test_a_key_of_two_nodes_proposes_both(world, tmp_path):
    market = two_nodes(world)
    key = AgentKey(tmp_path, "agent")
    for node in ("n1", "n2"):
        wire, challenge = come(market, node)
        wire.agent_key = key
        wire.answer_challenge(challenge)
        wire.expect("status", state="ok", reason="attested")
    items = proposed(market, 2)
    assert [item["node_id"] for item in items] == ["n1", "n2"]
    for item in items:
        assert item["evidence"]["kind"] == "shared_agent_key"
        assert item["evidence"]["agent_key_sha256"] == hashlib.sha256(key.spki).hexdigest()


def test_a_fraud_that_is_none_is_dismissed_and_holds_back_nothing(world, tmp_path):
    market = two_nodes(world, **SETTINGS)
    control, ledger = market.control, market.ledger
    owner = ledger.open_account("owner", "20")
    owned = {"node_id": "n1", "owner_account": owner}
    ledger.ok("/v1/nodes/register", owned)
    key = AgentKey(tmp_path, "agent")

    def attest_as_both(**identity):
        for node in ("n1", "n2"):
            wire, challenge = come(market, node, **identity)
            wire.agent_key = key
            wire.answer_challenge(challenge)
            wire.expect("status", state="ok", reason="attested")

    def lower_the_stake():
        return ledger.post("/v1/nodes/register", {"node_id": "n1", "stake_amount_usd": "0"}, "n1",
                           X_EE_Owner_Token=ledger.tokens[owner])

    attest_as_both()
    [first, second] = proposed(market, 2)
    assert lower_the_stake().reason == "stake_in_use"
    assert control.metric("ee_ledger_proposed_slashings") == 2
    path = f"/v1/slashings/{first['slashing_id']}/dismiss"
    for caller in ("auditor", "uptime", "launcher", "n1", owner):
        assert ledger.post(path, {"reason": "mine"}, caller).reason == "forbidden"
    with EventStream(control) as stream:
        dismissed = ledger.ok(path, {"reason": "its token was stolen"}, key="once")
        told = stream.wait_for("slashing_dismissed", node_id="n1", code="attestation_fraud").data
    assert told["data"] == {"slashing_id": first["slashing_id"], "amount_usd": "10"}
    assert told["detail"] == "its token was stolen"
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(dismissed))
    (tmp_path / "log.key").write_text(ledger.ok("/v1/ledger/head")["public_key"])
    said = eectl("ledger", "verify", receipt, "--key", tmp_path / "log.key").stdout
    assert "node n1 is not to lose 10 USD of its stake for attestation_fraud:dismissed: its token was stolen" in said
    del dismissed["receipt"]
    assert dismissed == {**first, "status": "dismissed", "reason": "its token was stolen", "done_at": dismissed["done_at"]}
    assert dismissed["done_at"] >= first["proposed_at"]

    # Once; and it is on record.
    assert ledger.post(path, {"reason": "its token was stolen"}, key="once").header("Idempotency-Replayed") == "true"
    for refused in (ledger.post(path, {"reason": "again"}), slash(market, first)):
        assert (refused.status, refused.reason) == (409, "already_dismissed")
        assert f"slashing {first['slashing_id']} was dismissed at " in refused.json()["detail"]
    assert ledger.ok("/v1/slashings?status=dismissed", caller="auditor")["items"] == [dismissed]
    assert proposed(market, 1) == [second]
    called = ledger.ok("/v1/audit?limit=1")["items"][0]
    assert (called["route"], called["resource"]) == ("/v1/slashings/{id}/dismiss", first["slashing_id"])
    assert lower_the_stake().status == 200

    # The other by eectl; neither is proposed again, nor forgotten by a restart.
    environment = {"EECTL_URL": f"http://127.0.0.1:{control.port}", "EECTL_TOKEN": ledger.tokens["admin"]}
    eectl("node", "dismiss", second["slashing_id"], "--reason", "nor is this", env=environment)
    shown = eectl("node", "slashings", "--status", "dismissed", env=environment).stdout
    assert "its token was stolen" in shown and "nor is this" in shown, shown
    control.terminate()
    market.control = ledger.control = world.control(**market.settings)
    attest_as_both(agent_id="later")
    assert market.control.metric("ee_ledger_proposed_slashings") == 0
    assert [item["status"] for item in ledger.ok("/v1/slashings")["items"]] == ["dismissed"] * 2
    assert ledger.post(path, {"reason": "again"}).reason == "already_dismissed"
    assert ledger.post(f"/v1/slashings/{second['slashing_id']}/dismiss", {"reason": "again"}).reason == "already_dismissed"
    assert not ledger.ok("/v1/nodes/n1")["banned"] and ledger.balance("stake:n2") == ("10", "0")
    checked = json.loads(eectl("ledger", "check", world.path / "control-plane.db", "--json").stdout)
    assert checked["good"] is True, checked


def test_what_is_done_is_not_dismissed(world):
    ledger = Ledger(world.control(**SETTINGS))
    ledger.register_node("n1")
    done = ledger.ok("/v1/nodes/n1/slash", {"cause": "other", "amount_usd": "4", "event_ids": ["e1"], "reason": "because"})
    refused = ledger.post(f"/v1/slashings/{done['slashing_id']}/dismiss", {"reason": "no"})
    assert (refused.status, refused.reason) == (409, "already_slashed")
    assert "took 4 USD at " in refused.json()["detail"]
