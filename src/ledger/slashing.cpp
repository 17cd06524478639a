#include "ledger/slashing.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "ledger/answers.h"
#include "ledger/books.h"
#include "ledger/field_rules.h"
#include "ledger/nodes.h"
#include "ledger/operations.h"
#include "ledger/terms.h"

namespace ee::ledger {
namespace {

constexpr std::chrono::hours revenue_length{30 * 24};
constexpr std::size_t events_max = 64;
constexpr std::size_t text_max = 256;
constexpr std::string_view downtime = "downtime_migration";
constexpr std::string_view fraud = "attestation_fraud";
constexpr std::string_view abuse = "abuse";
constexpr std::string_view other = "other";

// One cause slashes once: the same word about the same event of the same node, however it is put together
// with others.
std::string cause_key(std::string_view node, std::string_view cause, std::string_view event_id) {
    const std::string content = RecordWriter().text(cause).text(event_id).take();
    const crypto::Sha256 digest = crypto::sha256(as_bytes(content));
    std::string key = KeyWriter().text(node);
    return key.append(as_text(digest));
}

std::optional<std::uint64_t> find_cause(const Batch& batch, std::string_view node, std::string_view cause,
                                        std::string_view event_id) {
    const auto record = batch.get(Table::causes, cause_key(node, cause, event_id));
    if (!record) return std::nullopt;
    return number_at(*record, 0);
}

Slashing find_slashing(const Batch& batch, std::uint64_t id) {
    return Slashing::decode(expect_record(batch.get(Table::slashings, Slashing::key(id)), "a slashing"));
}

void save(Batch& batch, std::uint64_t id, const Slashing& slashing) {
    batch.put(Table::slashings, Slashing::key(id), slashing.encode());
    std::string number;
    append_big_endian<8>(number, id);
    for (const std::string& event : slashing.event_ids)
        batch.put(Table::causes, cause_key(slashing.node, slashing.cause, event), number);
}

// A slashing's leaf; the index names it. A proposal's says what it is made for.
std::uint64_t append_slashing(Context& context, std::uint64_t id, const Slashing& slashing) {
    std::string reason = slashing.reason;
    if (slashing.state == SlashingState::proposed && !slashing.evidence.empty())
        reason += ": " + slashing.evidence;
    return append_leaf(
        context, LeafKind::slashing,
        {id_text(id), slashing.node, fmt::format("{}:{}", slashing.cause, to_word(slashing.state)),
         slashing.amount.micro(), reason});
}

// Takes the stake; fraud bans for good.
Result<std::uint64_t> carry_out(Context& context, std::uint64_t id, Slashing& slashing) {
    Node node = expect_record(find_node(context.batch, slashing.node), "the node of a slashing");
    const auto taken = slash_stake(context, slashing.node, node, slashing.amount, id_text(id));
    // Fraud bans whether or not there is anything to take.
    if (!taken && slashing.cause != fraud) return fail(taken.error());
    slashing.amount = taken.value_or(Money{});
    slashing.state = SlashingState::done;
    slashing.done_at = context.now;
    if (slashing.cause == fraud)
        ban_node(context, slashing.node, node, "attestation fraud: " + slashing.reason);
    save_node(context.batch, slashing.node, node);
    save(context.batch, id, slashing);
    return append_slashing(context, id, slashing);
}

// Why nothing more becomes of it; nullopt: nobody has decided yet.
std::optional<Error> decided(std::uint64_t id, const Slashing& slashing) {
    switch (slashing.state) {
        case SlashingState::proposed: break;
        case SlashingState::done:
            return Error{"already_slashed", fmt::format("slashing {} took {} USD at {}", id,
                                                        to_usd(slashing.amount), to_text(slashing.done_at))};
        case SlashingState::dismissed:
            return Error{"already_dismissed",
                         fmt::format("slashing {} was dismissed at {}: nothing is taken for it", id,
                                     to_text(slashing.done_at))};
    }
    return std::nullopt;
}

Answer answer_of(std::uint16_t status, std::uint64_t leaf, std::uint64_t id, const Slashing& slashing) {
    return object_answer(status, leaf, [&](JsonWriter& json) { append_slashing(json, id, slashing); });
}

std::uint64_t record_proposal(Context& context, Slashing& slashing) {
    slashing.proposed_at = context.now;
    const std::uint64_t id = context.batch.leaf_count() + 1;
    append_slashing(context, id, slashing);
    save(context.batch, id, slashing);
    return id;
}

// For one event, and all that it costs: what stake there is counts when it is taken.
void propose(Context& context, Slashing slashing) {
    if (slashing.amount.is_zero()) return;
    const std::uint64_t id = record_proposal(context, slashing);
    // What the stake does not cover waits for the admin: a cause slashes once, and stake may come yet.
    if (!context.rules.slash_auto || stake_of(context.batch, slashing.node) < slashing.amount) return;
    if (const auto done = carry_out(context, id, slashing); !done)
        throw BrokenInvariant(fmt::format("slashing {}: {}", id, done.error().detail));
}

LedgerTime first_downtime(const Context& context, const Slash& command) {
    LedgerTime first = LedgerTime::max();
    for (const std::string& id : command.event_ids)
        if (const auto record = context.batch.get(Table::observations, Observation::key(command.node, id)))
            first = std::min(first, Observation::decode(*record).from);
    return first;
}

Result<Money> amount_of(const Context& context, const Slash& command) {
    if (command.cause == fraud) return stake_of(context.batch, command.node);
    if (command.amount && command.cause != abuse) return *command.amount;
    if (command.cause == downtime) {
        const Money penalty =
            downtime_penalty(context.batch, command.node, context.now, first_downtime(context, command));
        if (penalty.is_zero() && !stake_of(context.batch, command.node).is_zero())
            return fail(
                "invalid_field:amount_usd",
                fmt::format("what {} has earned within 30 days makes no penalty: say how much is to be taken",
                            command.node));
        return penalty;
    }
    if (command.cause == abuse)
        return fail("unknown_slashing",
                    "a claim for abuse is proposed when a report is authorized; there is none for this");
    return fail("invalid_field:amount_usd", fmt::format("a slashing for {} says how much", command.cause));
}

// The proposal for these events; nullopt: there is none, they are new. What is decided stays so, and a
// proposal is carried out as it was made.
Result<std::optional<std::uint64_t>> find_proposal(const Context& context, const Slashing& wanted) {
    std::optional<std::uint64_t> proposal;
    for (const std::string& event : wanted.event_ids) {
        const auto known = find_cause(context.batch, wanted.node, wanted.cause, event);
        if (!known) continue;
        const Slashing slashing = find_slashing(context.batch, *known);
        if (const auto why = decided(*known, slashing))
            return fail(why->code, fmt::format("{}: {}", event, why->detail));
        if (slashing.event_ids != wanted.event_ids)
            return fail("invalid_field:event_ids",
                        fmt::format("slashing {} is proposed for {} alone: carry it out with event_ids [{}]",
                                    *known, event, event));
        proposal = *known;
    }
    return proposal;
}

Result<void> check(const Slash& command) {
    if (command.amount)
        if (auto checked = check_amount(*command.amount); !checked) return checked;
    if (command.cause != downtime && command.cause != fraud && command.cause != abuse &&
        command.cause != other)
        return fail("invalid_field:cause",
                    fmt::format("one of {}, {}, {}, {}", downtime, fraud, abuse, other));
    if (command.event_ids.empty() || command.event_ids.size() > events_max)
        return fail("invalid_field:event_ids", fmt::format("1 to {} ids of what happened", events_max));
    for (const std::string& id : command.event_ids)
        if (auto checked = check_id("event_ids", id, text_max); !checked) return checked;
    return check_some_text("reason", command.reason, text_max);
}

Result<void> check_events(const Context& context, const Slash& command) {
    if (command.cause != downtime) return {};
    for (const std::string& id : command.event_ids) {
        const auto record = context.batch.get(Table::observations, Observation::key(command.node, id));
        if (!record || Observation::decode(*record).type != ObservationType::downtime_migration)
            return fail("invalid_field:event_ids",
                        fmt::format("{} is no downtime_migration of {}", id, command.node));
    }
    return {};
}

}  // namespace

Money downtime_penalty(const Batch& batch, std::string_view node, LedgerTime now, LedgerTime down) {
    const auto terms = terms_at(batch, node, down);
    const std::int64_t revenue = earnings_of(batch, node, now, revenue_length).micro();
    std::int64_t penalty = revenue;
    if (!terms || terms->tier == Tier::standard) penalty = revenue / 30;
    if (terms && terms->tier == Tier::economy) penalty = revenue / (30 * 24);
    return Money(penalty);
}

void propose_downtime_penalty(Context& context, std::string_view node, std::string_view event_id,
                              const Observation& seen) {
    propose(context, {.node = std::string(node),
                      .cause = std::string(downtime),
                      .event_ids = {std::string(event_id)},
                      .amount = downtime_penalty(context.batch, node, context.now, seen.from),
                      .reason = fmt::format("down from {} to {}", to_text(seen.from), to_text(seen.to))});
}

void propose_abuse_claim(Context& context, std::string_view node, std::uint64_t report, Money revenue) {
    propose(context, {.node = std::string(node),
                      .cause = std::string(abuse),
                      .event_ids = {id_text(report)},
                      .amount = revenue,
                      .reason = "abuse authorized after its cells were settled"});
}

Money proposed_of(const Batch& batch, std::string_view node) {
    std::set<std::uint64_t> ids;  // A slashing has a record for each of its events.
    const std::string prefix = KeyWriter().text(node);
    batch.scan(Table::causes, prefix, [&](std::string_view, std::string_view record) {
        ids.insert(number_at(record, 0));
        return true;
    });
    const Money stake = stake_of(batch, node);
    Money sum;
    for (const std::uint64_t id : ids) {
        const Slashing slashing = find_slashing(batch, id);
        if (slashing.state != SlashingState::proposed) continue;
        if (slashing.cause == fraud) return stake;
        sum = checked_add(sum, slashing.amount).value_or(largest_money);
    }
    return std::min(sum, stake);
}

void append_slashing(JsonWriter& json, std::uint64_t id, const Slashing& slashing) {
    json.field("slashing_id", id_text(id)).field("node_id", slashing.node).field("cause", slashing.cause);
    field(json, "amount_usd", slashing.amount);
    json.field("status", to_word(slashing.state)).field("reason", slashing.reason);
    json.key("event_ids").begin_array();
    for (const std::string& event : slashing.event_ids) json.value(event);
    json.end_array().field("proposed_at", to_text(slashing.proposed_at));
    json.field_or_null("done_at", slashing.state == SlashingState::proposed ? "" : to_text(slashing.done_at));
    json.key("evidence");
    if (slashing.evidence.empty())
        json.null();
    else
        json.raw(slashing.evidence);
}

Result<Answer> perform(Context& context, const Slash& command) {
    if (auto checked = check(command); !checked) return fail(checked.error());
    if (!find_node(context.batch, command.node)) return unknown_node(command.node);
    if (auto checked = check_events(context, command); !checked) return fail(checked.error());
    Slashing slashing{.node = command.node,
                      .cause = command.cause,
                      .event_ids = command.event_ids,
                      .reason = command.reason,
                      .proposed_at = context.now};
    std::ranges::sort(slashing.event_ids);
    const auto again = std::ranges::unique(slashing.event_ids);
    slashing.event_ids.erase(again.begin(), again.end());
    const auto known = find_proposal(context, slashing);
    if (!known) return fail(known.error());
    std::uint64_t id = context.batch.leaf_count() + 1;
    if (*known) {
        id = **known;
        slashing = find_slashing(context.batch, id);
        // Fraud costs all there is by now. Of the rest the admin may take less than was proposed, never more
        // of a claim than what it is about.
        if (command.cause == fraud)
            slashing.amount = stake_of(context.batch, command.node);
        else if (command.amount)
            slashing.amount = std::min(slashing.amount, *command.amount);
        slashing.reason = command.reason;
    } else {
        const auto amount = amount_of(context, command);
        if (!amount) return fail(amount.error());
        slashing.amount = *amount;
    }
    const auto leaf = carry_out(context, id, slashing);
    if (!leaf) return fail(leaf.error());
    return answer_of(201, *leaf, id, slashing);
}

// The record stays, so that its events are not proposed again.
Result<Answer> perform(Context& context, const DismissSlashing& command) {
    if (auto checked = check_some_text("reason", command.reason, text_max); !checked)
        return fail(checked.error());
    const auto record = context.batch.get(Table::slashings, Slashing::key(command.slashing));
    if (!record) return fail("unknown_slashing", fmt::format("no slashing is called {}", command.slashing));
    Slashing slashing = Slashing::decode(*record);
    if (const auto why = decided(command.slashing, slashing)) return fail(why->code, why->detail);
    slashing.state = SlashingState::dismissed;
    slashing.done_at = context.now;
    slashing.reason = command.reason;
    save(context.batch, command.slashing, slashing);
    const std::uint64_t leaf = append_slashing(context, command.slashing, slashing);
    return answer_of(200, leaf, command.slashing, slashing);
}

// Never carried out here, whatever the rules say of other proposals; a node without stake is proposed too,
// for the ban.
Result<Answer> perform(Context& context, const ProposeFraud& command) {
    if (!find_node(context.batch, command.node)) return unknown_node(command.node);
    Answer answer{.status = 201, .body = "{}"};
    if (find_cause(context.batch, command.node, fraud, command.event_id)) {
        answer.replayed = true;
        return answer;
    }
    Slashing slashing{.node = command.node,
                      .cause = std::string(fraud),
                      .event_ids = {command.event_id},
                      .amount = stake_of(context.batch, command.node),
                      .reason = command.reason,
                      .evidence = command.evidence};
    record_proposal(context, slashing);
    return answer;
}

}  // namespace ee::ledger
