#include "ledger/node_records.h"

#include <algorithm>

#include "ledger/record_fields.h"

namespace ee::ledger {
using namespace fields;

namespace {
// The newest first: what was in force at a time is what comes next from there.
std::string timed_key(std::string_view node, LedgerTime from, std::uint64_t seq) {
    return KeyWriter().text(node).number(~sortable(to_us(from))).number(~seq);
}

LedgerTime time_in_key(std::string_view key) {
    KeyReader reader(key);
    static_cast<void>(reader.text());
    return from_us(from_sortable(~reader.number()));
}

// In a record 0 has always been a node without a price; one that asks for nothing is told apart from it.
constexpr std::int64_t no_price = 0, free_of_charge = -1;

std::int64_t recorded_price(const std::optional<Money>& price) {
    if (!price) return no_price;
    return price->is_zero() ? free_of_charge : price->micro();
}

std::optional<Money> read_price(RecordReader& in) {
    const std::int64_t recorded = in.integer();
    if (recorded == no_price) return std::nullopt;
    return recorded == free_of_charge ? Money{} : Money(recorded);
}

}  // namespace

std::string_view to_word(Tier tier) {
    switch (tier) {
        case Tier::premium: return "premium";
        case Tier::standard: return "standard";
        case Tier::economy: return "economy";
    }
    return {};
}

std::string Terms::encode() const {
    return RecordWriter()
        .integer(recorded_price(price))
        .number(capacity_vcpus)
        .byte(static_cast<std::uint8_t>(tier))
        .integer(to_us(posted_at))
        .take();
}

Terms Terms::decode(std::string_view record) {
    RecordReader in(record);
    Terms out;
    out.price = read_price(in);
    out.capacity_vcpus = in.number();
    out.tier = read_word<Tier>(in);
    out.posted_at = read_time(in);
    in.finish();
    return out;
}

std::string Terms::key(std::string_view node, LedgerTime from, std::uint64_t seq) {
    return timed_key(node, from, seq);
}

std::string Terms::prefix(std::string_view node) {
    return KeyWriter().text(node);
}

LedgerTime Terms::from_key(std::string_view key) {
    return time_in_key(key);
}

Money Node::stake() const {
    Money sum;
    for (const StakePart& part : stake_parts) sum = checked_add(sum, part.amount).value_or(largest_money);
    return sum;
}

std::string Node::encode() const {
    RecordWriter out;
    out.text(owner).array(token).integer(to_us(registered_at)).flag(banned).text(ban_reason);
    out.number(open_units).number(stake_parts.size());
    for (const StakePart& part : stake_parts) out.text(part.source).integer(part.amount.micro());
    return out.take();
}

Node Node::decode(std::string_view record) {
    RecordReader in(record);
    Node out;
    out.owner = in.text();
    out.token = in.array<32>();
    out.registered_at = read_time(in);
    out.banned = in.flag();
    out.ban_reason = in.text();
    out.open_units = in.number();
    for (std::uint64_t left = in.number(); left > 0; --left) {
        StakePart part;
        part.source = in.text();
        part.amount = read_money(in);
        out.stake_parts.push_back(std::move(part));
    }
    in.finish();
    return out;
}

std::string Standing::encode() const {
    return RecordWriter().flag(staked).flag(banned).take();
}

Standing Standing::decode(std::string_view record) {
    RecordReader in(record);
    Standing out;
    out.staked = in.flag();
    out.banned = in.flag();
    in.finish();
    return out;
}

std::string Standing::key(std::string_view node, LedgerTime from, std::uint64_t seq) {
    return timed_key(node, from, seq);
}

std::string Standing::prefix(std::string_view node) {
    return KeyWriter().text(node);
}

LedgerTime Standing::from_key(std::string_view key) {
    return time_in_key(key);
}

std::string_view to_word(AbuseState state) {
    switch (state) {
        case AbuseState::pending: return "pending";
        case AbuseState::authorized: return "authorized";
        case AbuseState::denied: return "denied";
    }
    return {};
}

bool AbuseReport::touches(const UnitName& unit) const {
    return node == unit.node && (app.empty() || app == unit.app) && period.start < unit.cell.end &&
           unit.cell.start < period.end;
}

std::string AbuseReport::encode() const {
    RecordWriter out;
    out.text(node).text(app);
    append(out, period);
    out.text(reason).text(reported_by).text(evidence_url).text(filed_by).integer(to_us(filed_at));
    out.byte(static_cast<std::uint8_t>(state)).text(decided_by).text(deciding_principal);
    out.integer(to_us(decided_at));
    return out.take();
}

AbuseReport AbuseReport::decode(std::string_view record) {
    RecordReader in(record);
    AbuseReport out;
    out.node = in.text();
    out.app = in.text();
    out.period = read_period(in);
    out.reason = in.text();
    out.reported_by = in.text();
    out.evidence_url = in.text();
    out.filed_by = in.text();
    out.filed_at = read_time(in);
    out.state = read_word<AbuseState>(in);
    out.decided_by = in.text();
    out.deciding_principal = in.text();
    out.decided_at = read_time(in);
    in.finish();
    return out;
}

std::string AbuseReport::key_by_node(std::string_view node, std::uint64_t id) {
    return KeyWriter().text(node).number(id);
}

std::int64_t Slot::first_window(const Period& cell) const {
    const std::int64_t from = std::max(to_us(attested_at), to_us(LedgerTime{cell.start}));
    return from / (static_cast<std::int64_t>(window_s) * 1'000'000);
}

std::string Slot::encode() const {
    RecordWriter out;
    out.integer(to_us(attested_at)).number(window_s).text(windows);
    out.number(challenges_passed).number(challenges_missed).number(challenges_inconclusive);
    append(out, drained_at);
    append(out, verdicts);
    return out.take();
}

Slot Slot::decode(std::string_view record) {
    RecordReader in(record);
    Slot out;
    out.attested_at = read_time(in);
    out.window_s = static_cast<std::uint32_t>(in.number());
    out.windows = in.text();
    out.challenges_passed = static_cast<std::uint32_t>(in.number());
    out.challenges_missed = static_cast<std::uint32_t>(in.number());
    out.challenges_inconclusive = static_cast<std::uint32_t>(in.number());
    out.drained_at = read_optional_time(in);
    out.verdicts = read_texts(in);
    in.finish();
    return out;
}

std::string Slot::key(const UnitName& unit, std::string_view agent) {
    return KeyWriter().time(start_of(unit.cell.start)).text(unit.node).text(unit.app).text(agent);
}

SlotKey SlotKey::decode(std::string_view key) {
    KeyReader in(key);
    SlotKey out;
    out.cell = Seconds{std::chrono::seconds{in.time()}};
    out.node = in.text();
    out.app = in.text();
    out.agent = in.text();
    return out;
}

std::string_view to_word(ObservationType type) {
    switch (type) {
        case ObservationType::health_pass: return "health_pass";
        case ObservationType::health_miss: return "health_miss";
        case ObservationType::attest_miss: return "attest_miss";
        case ObservationType::downtime_migration: return "downtime_migration";
    }
    return {};
}

bool Observation::touches(const UnitName& unit) const {
    return (app.empty() || app == unit.app) && from < unit.cell.end && unit.cell.start < to;
}

std::string Observation::encode() const {
    return RecordWriter()
        .byte(static_cast<std::uint8_t>(type))
        .text(app)
        .integer(to_us(from))
        .integer(to_us(to))
        .text(evidence_url)
        .take();
}

Observation Observation::decode(std::string_view record) {
    RecordReader in(record);
    Observation out;
    out.type = read_word<ObservationType>(in);
    out.app = in.text();
    out.from = read_time(in);
    out.to = read_time(in);
    out.evidence_url = in.text();
    in.finish();
    return out;
}

std::string Observation::key(std::string_view node, std::string_view event_id) {
    return KeyWriter().text(node).text(event_id);
}

std::string Observation::key_by_time(std::string_view node, LedgerTime from, std::string_view event_id) {
    return KeyWriter().text(node).time(to_us(from)).text(event_id);
}

std::string Outage::encode() const {
    RecordWriter out;
    out.integer(to_us(from));
    append(out, to);
    return out.text(cause).take();
}

Outage Outage::decode(std::string_view record) {
    RecordReader in(record);
    Outage out;
    out.from = read_time(in);
    out.to = read_optional_time(in);
    out.cause = in.text();
    in.finish();
    return out;
}

std::string Outage::key(LedgerTime from, std::uint64_t seq) {
    return KeyWriter().time(to_us(from)).number(seq);
}

std::string_view to_word(SlashingState state) {
    switch (state) {
        case SlashingState::proposed: return "proposed";
        case SlashingState::done: return "done";
        case SlashingState::dismissed: return "dismissed";
    }
    return {};
}

std::string Slashing::encode() const {
    RecordWriter out;
    out.text(node).text(cause);
    append(out, event_ids);
    out.integer(amount.micro()).text(reason).byte(static_cast<std::uint8_t>(state));
    out.integer(to_us(proposed_at)).integer(to_us(done_at));
    if (!evidence.empty()) out.text(evidence);
    return out.take();
}

Slashing Slashing::decode(std::string_view record) {
    RecordReader in(record);
    Slashing out;
    out.node = in.text();
    out.cause = in.text();
    out.event_ids = read_texts(in);
    out.amount = read_money(in);
    out.reason = in.text();
    out.state = read_word<SlashingState>(in);
    out.proposed_at = read_time(in);
    out.done_at = read_time(in);
    if (in.has_more()) out.evidence = in.text();
    in.finish();
    return out;
}

}  // namespace ee::ledger
