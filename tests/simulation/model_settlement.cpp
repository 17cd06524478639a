// The model's evidence, settlements, abuse and slashings.

#include <algorithm>

#include "model.h"

namespace ee::simulation {
namespace {

constexpr std::int64_t days_30_us = 30LL * 24 * 3600 * 1'000'000;

std::int64_t seconds(ledger::Seconds time) {
    return time.time_since_epoch().count();
}
std::int64_t micros(ledger::LedgerTime time) {
    return time.time_since_epoch().count();
}

Expected refused(std::set<std::string> codes) {
    return {.refusals = std::move(codes)};
}

}  // namespace

// ---- Evidence

// `start`: of the cell, us.
void Model::add_windows(Slot& slot, const ledger::Slot& more, std::int64_t start) {
    const std::int64_t window = static_cast<std::int64_t>(more.window_s) * 1'000'000;
    const std::int64_t attested = std::max(micros(more.attested_at), start);
    slot.attested = slot.window == 0 ? attested : std::min(slot.attested, attested);
    slot.window = window;
    for (std::size_t i = 0; i < more.windows.size(); ++i) {
        const char letter = "?pomd"[static_cast<std::size_t>(more.windows[i])];
        char& kept = slot.windows[attested / window + static_cast<std::int64_t>(i)];
        if (letter != '?' && kept != 'p') kept = letter;
    }
}

Expected Model::perform(const ledger::RecordSlots& command) {
    for (const auto& seen : command.seen) {
        const std::int64_t start = seconds(command.cell.start);
        Slot& slot = slots_[{start, seen.node, seen.app, seen.agent}];
        if (seen.slot.window_s != 0) add_windows(slot, seen.slot, start * 1'000'000);
        slot.passed += seen.slot.challenges_passed;
        slot.missed += seen.slot.challenges_missed;
        slot.open += seen.slot.challenges_inconclusive;
        slot.open -= std::min(slot.open, seen.resolved);
        const auto drained =
            seen.slot.drained_at ? std::optional(micros(*seen.slot.drained_at)) : std::nullopt;
        if (seen.came_back || (drained && drained < slot.drained.value_or(INT64_MAX))) slot.drained = drained;
    }
    return {};
}

Expected Model::perform(const ledger::RecordOutage& command) {
    std::optional<std::int64_t> to;
    if (command.outage.to) to = micros(*command.outage.to);
    outages_[micros(command.outage.from)] = to;
    return {};
}

Expected Model::perform(const ledger::RecordLeaf&) {
    return {};
}

Expected Model::perform(const ledger::RecordCall&) {
    return {};
}

Expected Model::perform(const ledger::Observe& command) {
    if (command.observation.from >= command.observation.to ||
        micros(command.observation.to) > now + 5 * 60 * std::int64_t{1'000'000})
        return refused({"invalid_field:to"});
    if (!nodes.contains(command.node)) return refused({"unknown_node"});
    const auto known = observations_.find({command.node, command.event_id});
    if (known != observations_.end()) {
        const ledger::Observation &a = known->second, &b = command.observation;
        if (a.type == b.type && a.app == b.app && a.from == b.from && a.to == b.to) return {.replayed = true};
        return refused({"event_conflict"});
    }
    observations_[{command.node, command.event_id}] = command.observation;
    if (command.observation.type == ledger::ObservationType::downtime_migration)
        propose({.node = command.node,
                 .cause = "downtime_migration",
                 .events = {command.event_id},
                 .amount = penalty(command.node, micros(command.observation.from))});
    return {};
}

// ---- Judging

bool Model::touched(const UnitKey& key, const Abuse& report) const {
    const auto& [start, node, app] = key;
    return report.node == node && (report.app.empty() || report.app == app) &&
           report.start < start + rules_.step_s && start < report.end;
}

bool Model::has_pending(const UnitKey& key) const {
    return std::ranges::any_of(
        abuse, [&](const Abuse& report) { return report.state == 'p' && touched(key, report); });
}

// Windows of all slots of the unit taken as one.
void Model::judge_slots(const UnitKey& key, bool& miss, bool& attest_miss, bool& hole, bool& open,
                        bool& silent) const {
    const auto& [start, node, app] = key;
    const std::int64_t from = start * 1'000'000, to = (start + rules_.step_s) * 1'000'000;
    std::map<std::pair<std::int64_t, std::int64_t>, std::string> words;  // of each expected window
    for (const auto& [place, slot] : slots_) {
        if (std::get<0>(place) != start || std::get<1>(place) != node) continue;
        if (!app.empty() && std::get<2>(place) != app) continue;
        if (slot.passed + slot.missed + slot.open > 0) silent = false;
        if (slot.drained && *slot.drained >= from) silent = false;
        if (slot.missed > 0) attest_miss = true;
        if (slot.open > 0) open = true;
        if (slot.window == 0) continue;  // Of a challenge alone.
        for (std::int64_t k = from / slot.window - 1; k * slot.window < to; ++k) {
            const std::int64_t begin = k * slot.window, end = begin + slot.window;
            if (begin < from || end > to || begin < slot.attested || end > slot.drained.value_or(to))
                continue;
            silent = false;
            const auto known = slot.windows.find(k);
            if (known != slot.windows.end() && known->second == 'd') continue;
            words[{begin, end}] += known == slot.windows.end() || known->second == '\0' ? '?' : known->second;
        }
    }
    // Whoever was heard in one of them, expected or not.
    for (const auto& [place, slot] : slots_) {
        if (std::get<0>(place) != start || std::get<1>(place) != node) continue;
        if (!app.empty() && std::get<2>(place) != app) continue;
        for (const auto& [k, letter] : slot.windows) {
            const auto word = words.find({k * slot.window, (k + 1) * slot.window});
            if (letter == 'p' && word != words.end()) word->second += 'p';
        }
    }
    // By the second, as observations come.
    const auto is_filled = [&](std::int64_t moment) {
        return std::ranges::any_of(observations_, [&](const auto& entry) {
            const ledger::Observation& seen_outside = entry.second;
            return entry.first.first == node && (seen_outside.app.empty() || seen_outside.app == app) &&
                   seen_outside.type == ledger::ObservationType::health_pass &&
                   micros(seen_outside.from) <= moment && moment < micros(seen_outside.to);
        });
    };
    for (const auto& [window, seen] : words) {
        if (seen.find('p') != std::string::npos) continue;
        const bool all_missed = seen.find_first_not_of('m') == std::string::npos;
        const bool in_outage = std::ranges::any_of(outages_, [&](const auto& outage) {
            return outage.first < window.second && outage.second.value_or(INT64_MAX) > window.first;
        });
        if (all_missed && !in_outage) {
            miss = true;
            continue;
        }
        bool filled = true;
        for (std::int64_t moment = window.first; moment < window.second && filled; moment += 1'000'000)
            filled = is_filled(moment);
        hole |= !filled;
    }
}

Model::Judged Model::judge(const UnitKey& key) const {
    using Type = ledger::ObservationType;
    const auto& [start, node, app] = key;
    const std::int64_t from = start * 1'000'000, to = (start + rules_.step_s) * 1'000'000;
    bool miss = false, attest_miss = false, downtime = false, hole = false, open = false, silent = true;
    judge_slots(key, miss, attest_miss, hole, open, silent);
    for (const auto& [id, seen] : observations_) {
        if (id.first != node || !(seen.app.empty() || seen.app == app)) continue;
        if (micros(seen.from) >= to || micros(seen.to) <= from) continue;
        miss |= seen.type == Type::health_miss;
        attest_miss |= seen.type == Type::attest_miss;
        downtime |= seen.type == Type::downtime_migration;
    }
    const bool in_outage = std::ranges::any_of(outages_, [&](const auto& outage) {
        return outage.first < to && outage.second.value_or(INT64_MAX) > from;
    });
    const bool abused = std::ranges::any_of(
        abuse, [&](const Abuse& report) { return report.state == 'a' && touched(key, report); });
    std::string reasons;
    const auto add = [&](bool holds, const char* word) {
        if (holds) reasons += reasons.empty() ? word : std::string(",") + word;
    };
    add(miss, "health_miss");
    add(attest_miss, "attest_miss");
    add(downtime, "downtime_migration");
    add(abused, "abuse");
    add(!held_standing(nodes.at(node), start), "standing_missing");
    add(silent && !in_outage, "no_evidence");
    if (!reasons.empty()) return {Outcome::fail, reasons};
    add(hole, "hole");
    add(open, "verdict_inconclusive");
    add(silent, "no_slot_in_outage");
    if (reasons.empty()) return {Outcome::pass, ""};
    if (now < to + days_30_us) return {Outcome::inconclusive, reasons};
    return {Outcome::fail, reasons + ",evidence_missing"};
}

// ---- Settling

void Model::settle(const UnitKey& key, const Judged& judged) {
    Unit& unit = units[key];
    unit.outcome = judged.outcome;
    unit.reasons = judged.reasons;
    Int locked = 0, drawn = 0;
    for (const Lock& lock : locks) {
        if (lock.state != 'h' || lock.unit != key) continue;
        locked += lock.amount;
        drawn += lock.drawn;
        unit.moving = true;
    }
    unit.paid = judged.outcome == Outcome::pass ? drawn : 0;
    unit.returned = locked - unit.paid;
}

void Model::judge_and_settle(const UnitKey& key, ledger::SettleMore::Pending pending) {
    const std::int64_t end = (std::get<0>(key) + rules_.step_s) * 1'000'000;
    using enum ledger::SettleMore::Pending;
    if (pending != judge && has_pending(key) && (pending == wait || now < end + days_30_us)) return;
    const Judged judged = this->judge(key);
    if (judged.outcome != Outcome::inconclusive) return settle(key, judged);
    units[key].outcome = judged.outcome;
    units[key].reasons = judged.reasons;
}

// Locks of decided units, in the order of cells, nodes, apps, accounts, then age. Whether any is left.
bool Model::move_locks(std::uint64_t left) {
    for (auto& [key, unit] : units) {
        if (!unit.moving) continue;
        std::vector<Lock*> held;
        for (Lock& lock : locks)
            if (lock.state == 'h' && lock.unit == key) held.push_back(&lock);
        std::ranges::stable_sort(held, {}, [](const Lock* lock) { return lock->account; });
        for (Lock* lock : held) {
            if (left-- == 0) return true;
            const Int paid = unit.outcome == Outcome::pass ? lock->drawn : 0;
            accounts[lock->account].locked -= lock->amount;
            accounts[lock->account].available += lock->amount - paid;
            accounts["node:" + std::get<1>(key)].available += paid;
            if (paid > 0) earnings_[{std::get<1>(key), std::get<0>(key)}] += paid;
            lock->state = 's';
        }
        unit.moving = false;
    }
    return false;
}

// Unsettled units of ended cells.
std::vector<UnitKey> Model::open_in(const ledger::Period& period, const std::string& node) const {
    std::vector<UnitKey> out;
    for (const auto& [key, unit] : units) {
        const auto& [start, of_node, app] = key;
        if (start < seconds(period.start) || start >= seconds(period.end)) continue;
        if ((start + rules_.step_s) * 1'000'000 > now || (!node.empty() && of_node != node)) continue;
        if (unit.outcome == Outcome::open || unit.outcome == Outcome::inconclusive) out.push_back(key);
    }
    return out;
}

Expected Model::perform(const ledger::Finalize& command) {
    std::set<std::string> codes;
    if (!is_on_grid(command.period)) codes.insert("period_not_on_grid");
    if (!command.node.empty() && !nodes.contains(command.node)) codes.insert("unknown_node");
    // Neither before it ends, nor before all that happened in it is recorded.
    if (seconds(command.period.end) * 1'000'000 > std::min(now, micros(command.recorded_until)))
        codes.insert("period_open");
    const std::vector<UnitKey> open = open_in(command.period, command.node);
    if (codes.empty() && !command.allow_pending &&
        std::ranges::any_of(open, [&](const UnitKey& key) { return has_pending(key); }))
        codes.insert("abuse_pending");
    if (!codes.empty()) return refused(codes);
    for (const UnitKey& key : open) judge_and_settle(key, ledger::SettleMore::Pending::judge);
    Expected expected;
    for (const auto& [key, unit] : units) {
        const auto& [start, node, app] = key;
        if (start < seconds(command.period.start) || start >= seconds(command.period.end)) continue;
        if (!command.node.empty() && node != command.node) continue;
        static constexpr const char* words[] = {"open", "pass", "fail", "inconclusive"};
        expected.outcomes.push_back(node + "/" + app + " " + words[static_cast<int>(unit.outcome)] + " " +
                                    usd(unit.paid) + " " + usd(unit.returned) + " " + usd(unit.uncollected));
    }
    return expected;
}

Expected Model::perform(const ledger::Resolve& command) {
    if (!is_on_grid(command.period) || command.period.length().count() != rules_.step_s)
        return refused({"period_not_on_grid"});
    const UnitKey key{seconds(command.period.start), command.node, command.app};
    const auto unit = units.find(key);
    if (unit == units.end()) return refused({"unknown_settlement"});
    if (unit->second.outcome == Outcome::pass || unit->second.outcome == Outcome::fail)
        return refused({"period_finalized"});
    if (unit->second.outcome == Outcome::open || judge(key).outcome != Outcome::inconclusive)
        return refused({"not_inconclusive"});
    if (!command.allow_pending && has_pending(key)) return refused({"abuse_pending"});
    settle(key, {command.pass ? Outcome::pass : Outcome::fail, "resolved: " + command.reason});
    return {.members = {{"outcome", command.pass ? "pass" : "fail"},
                        {"paid_usd", usd(unit->second.paid)},
                        {"returned_usd", usd(unit->second.returned)}}};
}

Expected Model::perform(const ledger::SettleMore& command) {
    bool more = false;
    if (command.period && !cursor_at_end) {
        std::uint32_t left = command.units_max;
        for (const UnitKey& key : open_in(*command.period, command.node)) {
            if (cursor && key <= *cursor) continue;
            if (left == 0) break;
            judge_and_settle(key, command.pending);
            if (--left == 0) {
                cursor = key;
                more = true;
            }
        }
    }
    if (!more) cursor_at_end = true;
    if (move_locks(command.locks_max)) more = true;
    if (!more) {
        cursor.reset();
        cursor_at_end = false;
    }
    return {.more = more};
}

// ---- Abuse and slashing

Expected Model::perform(const ledger::FileAbuse& command) {
    if (!nodes.contains(command.node)) return refused({"unknown_node"});
    Abuse report{.node = command.node, .app = command.app};
    report.start = cell_of(now);
    report.end = report.start + rules_.step_s;
    if (command.period) {
        std::set<std::string> codes;
        if (!is_on_grid(*command.period)) codes.insert("period_not_on_grid");
        if (micros(command.period->start) > now) codes.insert("period_not_started");
        if (!codes.empty()) return refused(codes);
        report.start = seconds(command.period->start);
        report.end = seconds(command.period->end);
    }
    abuse.push_back(report);
    return {.members = {{"status", "pending"}}};
}

Expected Model::perform(const ledger::DecideAbuse& command) {
    const auto report = std::ranges::find(abuse, command.report, &Abuse::id);
    if (command.report == 0 || report == abuse.end()) return refused({"unknown_report"});
    if (report->state != 'p') return refused({"already_decided"});
    report->state = command.authorize ? 'a' : 'd';
    if (!command.authorize) return {.members = {{"status", "denied"}}};
    Int revenue = 0;
    for (auto& [key, unit] : units) {
        if (unit.outcome != Outcome::pass || unit.claimed > 0 || !touched(key, *report)) continue;
        unit.claimed = unit.paid;
        revenue += unit.paid;
    }
    propose(
        {.node = report->node, .cause = "abuse", .events = {std::to_string(report->id)}, .amount = revenue});
    return {.members = {{"status", "authorized"}}};
}

// By the revenue of 30 days and the tier it had when it went down.
Int Model::penalty(const std::string& node, std::int64_t down) const {
    Int revenue = 0;
    for (const auto& [place, earned] : earnings_)
        if (place.first == node && place.second >= now / 1'000'000 - 30 * 24 * 3600) revenue += earned;
    const Terms* terms = terms_at(nodes.at(node), down);
    const char tier = terms != nullptr ? terms->tier : 's';
    return revenue / (tier == 'p' ? 1 : tier == 's' ? 30 : 720);
}

Model::Slashing* Model::find_slashing(const std::string& node, const std::string& cause,
                                      const std::string& event) {
    for (Slashing& slashing : slashings)
        if (slashing.node == node && slashing.cause == cause && slashing.events.contains(event))
            return &slashing;
    return nullptr;
}

// Takes it; what it took.
Int Model::slash(Slashing& slashing) {
    Node& node = nodes[slashing.node];
    Int left = std::min(slashing.amount, stake_of(slashing.node));
    slashing.amount = left;
    slashing.state = "done";
    if (left > 0) move("stake:" + slashing.node, "@slashed", left);
    while (left > 0) {
        const Int part = std::min(left, node.stake.back().second);
        left -= part;
        node.stake.back().second -= part;
        if (node.stake.back().second == 0) node.stake.pop_back();
    }
    record_standing(slashing.node);
    return slashing.amount;
}

// What would be taken if everything that is proposed were carried out; of fraud, all there will ever be.
Int Model::proposed(const std::string& node) const {
    Int sum = 0;
    for (const Slashing& slashing : slashings)
        if (slashing.node == node && slashing.state == "proposed")
            sum += slashing.cause == "attestation_fraud" ? stake_of(node) : slashing.amount;
    return sum;
}

// The whole of it; what the stake is counts when it is taken. Automatically nothing less than the whole is.
void Model::propose(Slashing slashing) {
    if (slashing.amount == 0) return;
    const bool at_once = rules_.slash_auto && slashing.amount <= stake_of(slashing.node);
    slashings.push_back(std::move(slashing));
    if (at_once) slash(slashings.back());
}

// Of fraud, by its evidence; carried out by nobody but the admin.
Expected Model::perform(const ledger::ProposeFraud& command) {
    if (!nodes.contains(command.node)) return refused({"unknown_node"});
    if (find_slashing(command.node, "attestation_fraud", command.event_id) != nullptr)
        return {.replayed = true};
    slashings.push_back({.node = command.node,
                         .cause = "attestation_fraud",
                         .events = {command.event_id},
                         .amount = stake_of(command.node)});
    return {};
}

Expected Model::perform(const ledger::Slash& command) {
    std::set<std::string> codes;
    const bool fraud = command.cause == "attestation_fraud", downtime = command.cause == "downtime_migration";
    if (!nodes.contains(command.node)) return refused({"unknown_node"});
    std::int64_t down = INT64_MAX;
    for (const std::string& event : command.event_ids) {
        const auto seen = observations_.find({command.node, event});
        if (!downtime) continue;
        if (seen == observations_.end() || seen->second.type != ledger::ObservationType::downtime_migration)
            return refused({"invalid_field:event_ids"});
        down = std::min(down, micros(seen->second.from));
    }
    const std::set<std::string> events(command.event_ids.begin(), command.event_ids.end());
    Slashing* proposal = nullptr;
    for (const std::string& event : events) {
        Slashing* known = find_slashing(command.node, command.cause, event);
        if (known == nullptr) continue;
        if (known->state != "proposed")
            codes.insert(known->state == "done" ? "already_slashed" : "already_dismissed");
        else if (known->events != events)
            codes.insert("invalid_field:event_ids");
        proposal = known;
    }
    if (!codes.empty()) return refused(codes);
    const Int stake = stake_of(command.node);
    Int amount = 0;
    if (proposal != nullptr) {
        amount = fraud            ? stake
                 : command.amount ? std::min(proposal->amount, Int(command.amount->micro()))
                                  : proposal->amount;
    } else if (fraud) {
        amount = stake;
    } else if (command.cause == "abuse") {
        return refused({"unknown_slashing"});
    } else if (command.amount) {
        amount = command.amount->micro();
    } else if (downtime) {
        amount = penalty(command.node, down);
        if (amount == 0 && stake != 0) return refused({"invalid_field:amount_usd"});
    } else {
        return refused({"invalid_field:amount_usd"});
    }
    if (std::min(amount, stake) == 0 && !fraud) return refused({"no_stake"});
    if (proposal == nullptr) {
        slashings.push_back({.node = command.node, .cause = command.cause, .events = events});
        proposal = &slashings.back();
    }
    proposal->amount = amount;
    const Int taken = slash(*proposal);
    if (fraud) {
        nodes[command.node].banned = true;
        record_standing(command.node);
    }
    return {.members = {{"amount_usd", usd(taken)}, {"status", "done"}}};
}

// Nothing is taken for it, and no event of it is another's cause.
Expected Model::perform(const ledger::DismissSlashing& command) {
    const auto known = std::ranges::find(slashings, command.slashing, &Slashing::id);
    if (command.slashing == 0 || known == slashings.end()) return refused({"unknown_slashing"});
    if (known->state == "done") return refused({"already_slashed"});
    if (known->state == "dismissed") return refused({"already_dismissed"});
    known->state = "dismissed";
    return {.members = {{"node_id", known->node},
                        {"cause", known->cause},
                        {"amount_usd", usd(known->amount)},
                        {"status", "dismissed"}}};
}

}  // namespace ee::simulation
