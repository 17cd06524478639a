#include "describe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ee::simulation {
namespace {

using namespace ledger;

std::string on(const std::string& node, const std::string& app) {
    return app.empty() ? node : node + "/" + app;
}

std::string text(const std::optional<Money>& money) {
    return money ? to_usd(*money) + " USD" : "-";
}

std::string text(const Slot& slot) {
    std::string windows;
    for (const char window : slot.windows) windows += "?pom"[static_cast<std::size_t>(window)];
    return fmt::format("from {} {} of {} s, {}/{}/{} challenges{}", to_text(slot.attested_at), windows,
                       slot.window_s, slot.challenges_passed, slot.challenges_missed,
                       slot.challenges_inconclusive,
                       slot.drained_at ? ", drained " + to_text(*slot.drained_at) : "");
}

std::string say(const OpenAccount& c) {
    return fmt::format("open {} {}", c.account, c.token[0]);
}
std::string say(const RotateToken& c) {
    return fmt::format("rotate {} {}", c.account, c.token[0]);
}
std::string say(const Purchase& c) {
    return fmt::format("buy {} {} ref={}", c.account, to_usd(c.amount), c.payment_ref);
}
std::string say(const Redeem& c) {
    return fmt::format("redeem {} {} ref={}", c.account, to_usd(c.amount), c.payment_ref);
}
std::string say(const Transfer& c) {
    return fmt::format("move {} {} {}", c.from, c.to, to_usd(c.amount));
}
std::string say(const TakeLock& c) {
    return fmt::format("lock {} {} {} {} {}", c.account, on(c.node, c.app), to_text(c.period),
                       c.hours ? to_text(*c.hours) + " h" : "-", text(c.amount));
}
std::string say(const ReleaseLock& c) {
    return fmt::format("release {}", c.lock);
}
std::string say(const ReportUsage& c) {
    return fmt::format("use {} {} {} {} h id={}", c.account, on(c.node, c.app), to_text(c.period),
                       to_text(c.hours), c.report_id);
}
std::string say(const RegisterNode& c) {
    return fmt::format("node {} cpus={} price={} tier={} stake={} owner={} rotate={} token={} payer={}",
                       c.node, c.capacity_vcpus ? std::to_string(*c.capacity_vcpus) : "-", text(c.price),
                       c.tier ? to_word(*c.tier) : "-", text(c.stake), c.owner.value_or("-"), c.rotate_token,
                       c.token[0], c.owner_token ? std::to_string((*c.owner_token)[0]) : "-");
}
std::string say(const Unstake& c) {
    return "unstake " + c.node;
}
std::string say(const Ban& c) {
    return "ban " + c.node;
}
std::string say(const Slash& c) {
    return fmt::format("slash {} {} {} {}", c.node, c.cause, fmt::join(c.event_ids, ","), text(c.amount));
}
std::string say(const DismissSlashing& c) {
    return fmt::format("dismiss {}", c.slashing);
}
std::string say(const Observe& c) {
    const Observation& seen = c.observation;
    return fmt::format("see {} {} {} {} {}", on(c.node, seen.app), c.event_id, to_word(seen.type),
                       to_text(seen.from), to_text(seen.to));
}
std::string say(const FileAbuse& c) {
    return fmt::format("abuse {} {}", on(c.node, c.app), c.period ? to_text(*c.period) : "-");
}
std::string say(const DecideAbuse& c) {
    return fmt::format("decide {} {}", c.report, c.authorize ? "authorize" : "deny");
}
std::string say(const Finalize& c) {
    return fmt::format("finalize {} {} {}", to_text(c.period), c.node, c.allow_pending ? "pending" : "");
}
std::string say(const Resolve& c) {
    return fmt::format("resolve {} {} {}", on(c.node, c.app), to_text(c.period), c.pass ? "pass" : "fail");
}
std::string say(const RecordSlots& c) {
    std::string out = "slots " + to_text(c.cell);
    for (const auto& seen : c.seen)
        out += fmt::format("; {} {} {}", on(seen.node, seen.app), seen.agent, text(seen.slot));
    return out;
}
std::string say(const RecordOutage& c) {
    return fmt::format("outage {} {}", to_text(c.outage.from), c.outage.to ? to_text(*c.outage.to) : "-");
}
std::string say(const ProposeFraud& c) {
    return fmt::format("fraud {} {}", c.node, c.event_id);
}
std::string say(const RecordLeaf&) {
    return "leaf";
}
std::string say(const RecordCall&) {
    return "call";
}
std::string say(const SettleMore& c) {
    return fmt::format("settle {} {} pending={} units={} locks={} from {} bytes",
                       c.period ? to_text(*c.period) : "-", c.node, static_cast<int>(c.pending), c.units_max,
                       c.locks_max, c.from.size());
}

}  // namespace

std::string describe(const Command& command) {
    return std::visit([](const auto& c) { return say(c); }, command);
}

}  // namespace ee::simulation
