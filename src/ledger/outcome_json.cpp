// The evidence bundle as JSON: one spelling, so that its digest can be made again, and the way back.

#include <charconv>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/json_writer.h"
#include "ledger/answers.h"
#include "ledger/outcome.h"

namespace ee::ledger {
namespace {

constexpr std::string_view window_letters = "?pomd";  // unknown, pass, hole, miss, drained

std::string letters_of(std::string_view windows) {
    std::string out;
    for (const char window : windows)
        out += window_letters[static_cast<std::size_t>(window) % window_letters.size()];
    return out;
}

void append_slot(JsonWriter& json, const UnitEvidence::AgentSlot& agent) {
    const Slot& slot = agent.slot;
    json.begin_object().field("app_name", agent.app).field("agent_id", agent.agent);
    json.field("attested_at_us", to_us(slot.attested_at)).field("window_s", slot.window_s);
    json.field("windows", letters_of(slot.windows));
    json.field("challenges_passed", slot.challenges_passed)
        .field("challenges_missed", slot.challenges_missed);
    json.field("challenges_inconclusive", slot.challenges_inconclusive).key("drained_at_us");
    if (slot.drained_at)
        json.value(to_us(*slot.drained_at));
    else
        json.null();
    json.key("verdicts").begin_array();
    for (const std::string& verdict : slot.verdicts) json.value(verdict);
    json.end_array().end_object();
}

void append_observation(JsonWriter& json, const UnitEvidence::Seen& seen) {
    const Observation& o = seen.observation;
    json.begin_object()
        .field("event_id", seen.event_id)
        .field("type", to_word(o.type))
        .field("app_name", o.app);
    json.field("from_us", to_us(o.from)).field("to_us", to_us(o.to)).field("evidence_url", o.evidence_url);
    json.end_object();
}

void append_outage(JsonWriter& json, const Outage& outage) {
    json.begin_object().field("from_us", to_us(outage.from)).key("to_us");
    if (outage.to)
        json.value(to_us(*outage.to));
    else
        json.null();
    json.field("cause", outage.cause).end_object();
}

void append_abuse(JsonWriter& json, const UnitEvidence::Abuse& abuse) {
    json.begin_object().field("report_id", id_text(abuse.id)).field("app_name", abuse.app);
    json.field("status", to_word(abuse.state))
        .field("filed_at_us", to_us(abuse.filed_at))
        .key("decided_at_us");
    if (abuse.decided_at)
        json.value(to_us(*abuse.decided_at));
    else
        json.null();
    json.field("decided_by", abuse.decided_by).end_object();
}

void append_price(JsonWriter& json, const UnitEvidence::Price& price) {
    const Terms& terms = price.terms;
    json.begin_object().field("from_us", to_us(price.from)).field("posted_at_us", to_us(terms.posted_at));
    field(json, "price_usd_per_vcpu_hour", terms.price);
    json.field("capacity_vcpus", terms.capacity_vcpus).field("stake_tier", to_word(terms.tier)).end_object();
}

// What is wrong is told once; everything after it reads as nothing.
class Reader {
public:
    using Element = simdjson::dom::element;

    Reader(Element element, std::string pointer, std::optional<Error>& error)
        : pointer_(std::move(pointer)), error_(error) {
        if (element.get(object_) != simdjson::SUCCESS) refuse("", "it is no object");
    }

    std::string text(std::string_view name) {
        std::string_view out;
        if (Element element; find(name, element) && element.get(out) != simdjson::SUCCESS)
            refuse(name, "it is no string");
        return std::string(out);
    }
    std::int64_t integer(std::string_view name) {
        std::int64_t out = 0;
        if (Element element; find(name, element) && element.get(out) != simdjson::SUCCESS)
            refuse(name, "it is no whole number");
        return out;
    }
    std::uint64_t number(std::string_view name) {
        const std::int64_t out = integer(name);
        if (out < 0) refuse(name, "it is negative");
        return out < 0 ? 0 : static_cast<std::uint64_t>(out);
    }
    std::uint32_t count(std::string_view name) {
        const std::uint64_t out = number(name);
        if (out > UINT32_MAX) refuse(name, "it is above 32 bits");
        return static_cast<std::uint32_t>(out);
    }
    bool flag(std::string_view name) {
        bool out = false;
        if (Element element; find(name, element) && element.get(out) != simdjson::SUCCESS)
            refuse(name, "it is no boolean");
        return out;
    }
    LedgerTime time(std::string_view name) { return from_us(integer(name)); }
    std::optional<LedgerTime> optional_time(std::string_view name) {
        Element element;
        if (!find(name, element) || element.is_null()) return std::nullopt;
        --members_read_;
        return time(name);
    }
    Money money(std::string_view name) {
        const auto amount = parse_total(text(name));
        if (!amount) refuse(name, "it is no sum in USD");
        return amount.value_or(Money{});
    }
    std::optional<Money> optional_money(std::string_view name) {
        Element element;
        if (!find(name, element) || element.is_null()) return std::nullopt;
        --members_read_;
        return money(name);
    }
    template <class Word>
    Word word(std::string_view name, std::initializer_list<Word> words) {
        const std::string given = text(name);
        for (const Word word : words)
            if (to_word(word) == given) return word;
        refuse(name, "no such word");
        return *words.begin();
    }
    template <class Visit>
    void each(std::string_view name, const Visit& visit) {
        Element element;
        simdjson::dom::array array;
        if (!find(name, element)) return;
        if (element.get(array) != simdjson::SUCCESS) return refuse(name, "it is no list");
        std::size_t index = 0;
        for (const Element item : array) visit(item, fmt::format("{}/{}/{}", pointer_, name, index++));
    }
    std::vector<std::string> texts(std::string_view name) {
        std::vector<std::string> out;
        each(name, [&](Element item, const std::string&) {
            std::string_view text;
            if (item.get(text) != simdjson::SUCCESS) refuse(name, "it lists something else than strings");
            out.emplace_back(text);
        });
        return out;
    }
    std::uint64_t id(std::string_view name) {
        const std::string digits = text(name);
        std::uint64_t out = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
        if (error != std::errc{} || end != digits.data() + digits.size()) refuse(name, "no id");
        return out;
    }
    // Once all members have been read: what else is there, or twice, is none of a bundle's.
    void finish() {
        if (!error_ && object_.size() != members_read_)
            refuse("", fmt::format("it has {} members, not {}", object_.size(), members_read_));
    }
    void refuse(std::string_view name, std::string detail) {
        if (!error_) error_ = Error{fmt::format("evidence_invalid:{}/{}", pointer_, name), std::move(detail)};
    }
    std::optional<Error>& error() { return error_; }

private:
    bool find(std::string_view name, Element& element) {
        if (error_) return false;
        ++members_read_;
        if (object_[name].get(element) == simdjson::SUCCESS) return true;
        refuse(name, "it is missing");
        return false;
    }

    simdjson::dom::object object_;
    std::string pointer_;
    std::optional<Error>& error_;
    std::size_t members_read_ = 0;
};

UnitEvidence::AgentSlot read_slot(Reader in) {
    UnitEvidence::AgentSlot out;
    out.app = in.text("app_name");
    out.agent = in.text("agent_id");
    out.slot.attested_at = in.time("attested_at_us");
    out.slot.window_s = in.count("window_s");
    for (const char letter : in.text("windows")) {
        const std::size_t window = window_letters.find(letter);
        if (window == std::string_view::npos) in.refuse("windows", "a letter that stands for no window");
        out.slot.windows += static_cast<char>(window);
    }
    out.slot.challenges_passed = in.count("challenges_passed");
    out.slot.challenges_missed = in.count("challenges_missed");
    out.slot.challenges_inconclusive = in.count("challenges_inconclusive");
    out.slot.drained_at = in.optional_time("drained_at_us");
    out.slot.verdicts = in.texts("verdicts");
    in.finish();
    return out;
}

UnitEvidence::Seen read_observation(Reader in) {
    UnitEvidence::Seen out{.event_id = in.text("event_id"), .observation = {}};
    using enum ObservationType;
    out.observation.type = in.word("type", {health_pass, health_miss, attest_miss, downtime_migration});
    out.observation.app = in.text("app_name");
    out.observation.from = in.time("from_us");
    out.observation.to = in.time("to_us");
    out.observation.evidence_url = in.text("evidence_url");
    in.finish();
    return out;
}

Outage read_outage(Reader in) {
    Outage out{.from = in.time("from_us"), .to = in.optional_time("to_us"), .cause = in.text("cause")};
    in.finish();
    return out;
}

UnitEvidence::Abuse read_abuse(Reader in) {
    using enum AbuseState;
    UnitEvidence::Abuse out{.id = in.id("report_id"),
                            .app = in.text("app_name"),
                            .state = in.word("status", {pending, authorized, denied}),
                            .filed_at = in.time("filed_at_us"),
                            .decided_at = in.optional_time("decided_at_us"),
                            .decided_by = in.text("decided_by")};
    in.finish();
    return out;
}

UnitEvidence::Price read_price(Reader in) {
    UnitEvidence::Price out{.from = in.time("from_us"), .terms = {}};
    out.terms.posted_at = in.time("posted_at_us");
    out.terms.price = in.optional_money("price_usd_per_vcpu_hour");
    out.terms.capacity_vcpus = in.number("capacity_vcpus");
    out.terms.tier = in.word("stake_tier", {Tier::premium, Tier::standard, Tier::economy});
    in.finish();
    return out;
}

}  // namespace

std::string to_json(const UnitEvidence& evidence) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().field("rule_version", evidence.rules).field("cell", to_text(evidence.unit.cell));
    json.field("node_id", evidence.unit.node).field("app_name", evidence.unit.app);
    json.field("judged_at_us", to_us(evidence.judged_at)).field("has_usage", evidence.has_usage);
    json.field("held_standing", evidence.held_standing);
    json.key("slots").begin_array();
    for (const UnitEvidence::AgentSlot& slot : evidence.slots) append_slot(json, slot);
    json.end_array().key("observations").begin_array();
    for (const UnitEvidence::Seen& seen : evidence.observations) append_observation(json, seen);
    json.end_array().key("outages").begin_array();
    for (const Outage& outage : evidence.outages) append_outage(json, outage);
    json.end_array().key("abuse").begin_array();
    for (const UnitEvidence::Abuse& abuse : evidence.abuse) append_abuse(json, abuse);
    json.end_array().key("prices").begin_array();
    for (const UnitEvidence::Price& price : evidence.prices) append_price(json, price);
    json.end_array();
    json.field("log_size", evidence.log_size).field("checkpoint", evidence.checkpoint).end_object();
    return out;
}

Result<UnitEvidence> evidence_from_json(std::string_view json) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS)
        return fail("evidence_invalid:/", "it is no JSON");
    std::optional<Error> error;
    Reader in(root, "", error);
    UnitEvidence out;
    out.rules = in.number("rule_version");
    const auto cell = parse_period(in.text("cell"));
    if (cell)
        out.unit.cell = *cell;
    else
        in.refuse("cell", cell.error().detail);
    out.unit.node = in.text("node_id");
    out.unit.app = in.text("app_name");
    out.judged_at = in.time("judged_at_us");
    out.has_usage = in.flag("has_usage");
    out.held_standing = in.flag("held_standing");
    in.each("slots", [&](simdjson::dom::element item, std::string pointer) {
        out.slots.push_back(read_slot({item, std::move(pointer), error}));
    });
    in.each("observations", [&](simdjson::dom::element item, std::string pointer) {
        out.observations.push_back(read_observation({item, std::move(pointer), error}));
    });
    in.each("outages", [&](simdjson::dom::element item, std::string pointer) {
        out.outages.push_back(read_outage({item, std::move(pointer), error}));
    });
    in.each("abuse", [&](simdjson::dom::element item, std::string pointer) {
        out.abuse.push_back(read_abuse({item, std::move(pointer), error}));
    });
    in.each("prices", [&](simdjson::dom::element item, std::string pointer) {
        out.prices.push_back(read_price({item, std::move(pointer), error}));
    });
    out.log_size = in.number("log_size");
    out.checkpoint = in.text("checkpoint");
    in.finish();
    if (error) return fail(*std::move(error));
    return out;
}

}  // namespace ee::ledger
