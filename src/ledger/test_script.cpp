#include "ledger/test_script.h"

#include <functional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "ledger/node_records.h"

namespace ee::ledger {
namespace {

const Seconds day = std::chrono::sys_days{std::chrono::year{2026} / 1 / 9};

crypto::Sha256 token_of(std::string_view text) {
    return crypto::sha256(as_bytes(text));
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(' ');
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// \0 and \xFF stand for these bytes.
std::string unescaped(std::string text) {
    for (std::size_t at = 0; (at = text.find('\\', at)) != std::string::npos; ++at) {
        if (text.compare(at, 2, "\\0") == 0) text.replace(at, 2, std::string(1, '\0'));
        if (text.compare(at, 4, "\\xFF") == 0) text.replace(at, 4, "\xff");
    }
    return text;
}

Caller caller_of(std::string_view by) {
    if (by == "admin") return {.role = Role::admin};
    if (by == "launcher") return {.role = Role::launcher};
    if (by == "uptime") return {.role = Role::uptime};
    if (by == "auditor") return {.role = Role::auditor};
    if (by == "server") return {.role = Role::server};
    return {.role = Role::holder, .token = token_of(by)};
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(at), text.size());
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

template <class Word>
Word word_of(const std::string& text, std::initializer_list<Word> words) {
    for (const Word word : words)
        if (to_word(word) == text) return word;
    ADD_FAILURE() << text << " is no such word";
    return *words.begin();
}

}  // namespace

Script::Script(const Rules& rules)
    : rules_(rules),
      ledger_(rules),
      store_(new_test_store()),
      now_(LedgerTime{day + std::chrono::hours{13}}) {}

const std::map<std::string_view, Script::Verb>& Script::verbs() {
    static const std::map<std::string_view, Verb> all = {
        {"open", &Script::open},
        {"rotate", &Script::rotate},
        {"buy", &Script::buy},
        {"redeem", &Script::redeem},
        {"move", &Script::move},
        {"lock", &Script::lock},
        {"release", &Script::release},
        {"use", &Script::use},
        {"node", &Script::node},
        {"unstake", &Script::unstake},
        {"ban", &Script::ban},
        {"slash", &Script::slash},
        {"dismiss", &Script::dismiss},
        {"see", &Script::see},
        {"abuse", &Script::abuse},
        {"decide", &Script::decide},
        {"finalize", &Script::finalize},
        {"resolve", &Script::resolve},
        {"slot", &Script::slot},
        {"outage", &Script::outage},
        {"settle", &Script::settle},
        {"clock", &Script::clock},
        {"show", &Script::show},
        {"show-lock", &Script::show_lock},
        {"show-unit", &Script::show_unit},
        {"show-node", &Script::show_node},
        {"show-terms", &Script::show_terms},
        {"show-slashings", &Script::show_slashings},
    };
    return all;
}

void Script::run(std::string_view table) {
    int number = 0;
    while (!table.empty()) {
        const std::size_t end = std::min(table.find('\n'), table.size());
        const std::string_view line = table.substr(0, end);
        table.remove_prefix(std::min(end + 1, table.size()));
        ++number;
        const std::string_view text = trimmed(line.substr(0, line.find('#')));
        if (text.empty()) continue;
        const std::size_t arrow = text.find("=>");
        const Words words = words_of(text.substr(0, arrow));
        const auto verb = verbs().find(words.at(0));
        ASSERT_TRUE(verb != verbs().end()) << "line " << number << ": there is no " << words.at(0);
        const std::string got = (this->*verb->second)(words);
        const bool is_replay = got.starts_with("replayed");
        const bool is_refusal = got.starts_with("! ");
        const std::string_view expected =
            arrow == std::string_view::npos ? "ok" : trimmed(text.substr(arrow + 2));
        const std::string said = is_refusal ? got.substr(2, got.find(" (") - 2) : got;
        EXPECT_TRUE(said == expected || (expected == "ok" && !is_refusal && !is_replay))
            << "line " << number << ": " << text << "\n  but: " << got;
        for (const std::string& broken : books_.look(*store_))
            ADD_FAILURE() << "line " << number << ": " << text << "\n  broke the books: " << broken;
    }
}

const std::string& Script::Words::at(std::size_t place) const {
    static const std::string none;
    EXPECT_LT(place, rest.size()) << content;
    return place < rest.size() ? rest[place] : none;
}

std::string Script::Words::get(const std::string& name, std::string_view otherwise) const {
    const auto found = named.find(name);
    return found == named.end() ? std::string(otherwise) : found->second;
}

Script::Words Script::words_of(std::string_view line) {
    Words words;
    for (const std::string& word : split(line, ' ')) {
        if (word.empty()) continue;
        const std::size_t equals = word.find('=');
        if (equals == std::string::npos)
            words.rest.push_back(unescaped(word));
        else
            words.named[word.substr(0, equals)] = unescaped(word.substr(equals + 1));
        if (!word.starts_with("key=") && !word.starts_with("by=")) words.content += word + ' ';
    }
    return words;
}

// "n1" or "n1/shop".
Script::Place Script::place_of(const std::string& text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos) return {.node = text, .app = ""};
    return {.node = text.substr(0, slash), .app = text.substr(slash + 1)};
}

// "13:10", "13:10:05", "10T13:10" on a later day of January, "2026-02-09T13:00".
LedgerTime Script::time_of(const std::string& text) const {
    std::string full = text;
    if (full.find('T') == std::string::npos) full = "09T" + full;
    if (full.find('T') == 2) full = "2026-01-" + full;
    if (full.size() == 16) full += ":00";
    std::tm parts{};
    EXPECT_NE(::strptime(full.c_str(), "%Y-%m-%dT%H:%M:%S", &parts), nullptr) << text;
    const std::chrono::sys_days date =
        std::chrono::year{parts.tm_year + 1900} / (parts.tm_mon + 1) / parts.tm_mday;
    return LedgerTime{Seconds{date} + std::chrono::hours{parts.tm_hour} + std::chrono::minutes{parts.tm_min} +
                      std::chrono::seconds{parts.tm_sec}};
}

// "13h", "09..11" days of January, or as parse_period() reads it.
Period Script::period_of(const std::string& text) const {
    if (text.size() == 3 && text[2] == 'h') {
        const Seconds start = day + std::chrono::hours{std::stoi(text)};
        return {start, start + std::chrono::hours{1}};
    }
    if (const std::size_t dots = text.find(".."); dots != std::string::npos)
        return {std::chrono::floor<std::chrono::seconds>(time_of(text.substr(0, dots))),
                std::chrono::floor<std::chrono::seconds>(time_of(text.substr(dots + 2)))};
    const auto period = parse_period(text);
    EXPECT_TRUE(period) << text;
    return period.value_or(Period{});
}

std::uint64_t Script::id_of(const std::string& name) const {
    const auto known = ids_.find(name);
    return known != ids_.end() ? known->second : std::strtoull(name.c_str(), nullptr, 10);
}

// "0.2"; "-1u" for micro-USD that no request could say.
Money Script::money_of(const std::string& text) {
    if (text.ends_with('u')) return Money(std::stoll(text));
    const auto amount = parse_amount_or_zero(text);
    EXPECT_TRUE(amount) << text;
    return amount.value_or(Money{});
}

Hours Script::hours_of(const std::string& text) {
    if (text.ends_with('u')) return Hours(std::stoll(text));
    const auto hours = parse_hours(text.ends_with('h') ? text.substr(0, text.size() - 1) : text);
    EXPECT_TRUE(hours) << text;
    return hours.value_or(Hours{});
}

std::string Script::member(const std::string& body, std::string_view name) {
    const std::string key = fmt::format("\"{}\":", name);
    std::size_t at = body.find(key);
    if (at == std::string::npos) return "";
    at += key.size();
    if (body[at] == '"') return body.substr(at + 1, body.find('"', at + 1) - at - 1);
    return body.substr(at, body.find_first_of(",}", at) - at);
}

std::string Script::ask(const Words& words, Command command, std::string_view by,
                        const std::function<std::string(const std::string& body)>& say) {
    std::string key = words.get("key", fmt::format("key {}", ++keys_));
    if (key == "-") key.clear();
    Request request{.caller = caller_of(words.get("by", by)),
                    .idempotency_key = key,
                    .method = "POST",
                    .path = "/" + words.get("route", words.at(0)),
                    .content = token_of(words.content)};
    request.command = std::move(command);
    Batch batch(*store_);
    const auto answer = ledger_.apply(batch, request, now_);
    store_->commit(batch.take());
    if (!answer) return fmt::format("! {} ({})", answer.error().code, answer.error().detail);
    for (const char* id : {"lock_id", "report_id", "slashing_id"})
        if (const std::string number = member(answer->body, id);
            words.named.contains("as") && !number.empty())
            ids_[words.get("as")] = std::strtoull(number.c_str(), nullptr, 10);
    if (answer->replayed) return "replayed";
    return say ? say(answer->body) : "ok";
}

std::string Script::open(const Words& words) {
    return ask(words, OpenAccount{.account = words.at(1), .token = token_of(words.get("token", words.at(1)))},
               "admin");
}

std::string Script::rotate(const Words& words) {
    return ask(words, RotateToken{.account = words.at(1), .token = token_of(words.at(2))}, "admin");
}

std::string Script::buy(const Words& words) {
    return ask(
        words,
        Purchase{.account = words.at(1), .amount = money_of(words.at(2)), .payment_ref = words.get("ref")},
        "admin", [](const std::string& body) { return member(body, "available_usd"); });
}

std::string Script::redeem(const Words& words) {
    return ask(
        words,
        Redeem{.account = words.at(1), .amount = money_of(words.at(2)), .payment_ref = words.get("ref")},
        "admin", [](const std::string& body) { return member(body, "available_usd"); });
}

std::string Script::move(const Words& words) {
    return ask(words,
               Transfer{.from = words.at(1),
                        .to = words.at(2),
                        .amount = money_of(words.at(3)),
                        .memo = words.get("memo")},
               "admin", [](const std::string& body) { return member(body, "available_usd"); });
}

// lock ACCOUNT NODE[/APP] CELL 4h | $0.2
std::string Script::lock(const Words& words) {
    const Place place = place_of(words.at(2));
    TakeLock command{.account = words.at(1), .node = place.node, .app = place.app};
    command.period = period_of(words.at(3));
    for (std::size_t i = 4; i < words.rest.size(); ++i) {
        if (words.at(i).starts_with('$'))
            command.amount = money_of(words.at(i).substr(1));
        else
            command.hours = hours_of(words.at(i));
    }
    return ask(words, command, "admin", [](const std::string& body) { return member(body, "amount_usd"); });
}

std::string Script::release(const Words& words) {
    return ask(words, ReleaseLock{.lock = id_of(words.at(1))}, "admin");
}

// use ACCOUNT NODE[/APP] PERIOD 3h id=REPORT
std::string Script::use(const Words& words) {
    const Place place = place_of(words.at(2));
    return ask(words,
               ReportUsage{.account = words.at(1),
                           .node = place.node,
                           .app = place.app,
                           .period = period_of(words.at(3)),
                           .hours = hours_of(words.at(4)),
                           .report_id = words.get("id")},
               "uptime", [](const std::string& body) {
                   return member(body, "amount_usd") + " + " + member(body, "uncollected_usd");
               });
}

// node ID [cpus=8] [price=0.05] [tier=premium] [stake=10] [owner=alice] [owner-token=alice] [rotate=TOKEN]
std::string Script::node(const Words& words) {
    RegisterNode command{.node = words.at(1), .token = token_of(words.get("rotate", words.at(1)))};
    command.rotate_token = words.named.contains("rotate");
    if (words.named.contains("cpus")) command.capacity_vcpus = std::stoull(words.get("cpus"));
    if (words.named.contains("price")) command.price = money_of(words.get("price"));
    if (words.named.contains("tier"))
        command.tier = word_of(words.get("tier"), {Tier::premium, Tier::standard, Tier::economy});
    if (words.named.contains("stake")) command.stake = money_of(words.get("stake"));
    if (words.named.contains("owner")) command.owner = words.get("owner");
    if (words.named.contains("owner-token")) command.owner_token = token_of(words.get("owner-token"));
    return ask(words, command, "admin");
}

std::string Script::unstake(const Words& words) {
    return ask(words, Unstake{.node = words.at(1), .reason = "asked for"}, "admin",
               [](const std::string& body) { return member(body, "returned_usd"); });
}

std::string Script::ban(const Words& words) {
    return ask(words, Ban{.node = words.at(1), .reason = words.get("reason", "asked for")}, "admin");
}

// slash NODE CAUSE EVENT,EVENT [$5] [reason=WORD]
std::string Script::slash(const Words& words) {
    Slash command{.node = words.at(1), .cause = words.at(2), .event_ids = split(words.at(3), ',')};
    for (std::string& event : command.event_ids)
        if (ids_.contains(event)) event = std::to_string(ids_.at(event));
    if (words.rest.size() > 4) command.amount = money_of(words.at(4).substr(1));
    command.reason = words.get("reason", "seen");
    return ask(words, command, "admin", [](const std::string& body) { return member(body, "amount_usd"); });
}

// dismiss SLASHING | NODE/EVENT [reason=WORD]
std::string Script::dismiss(const Words& words) {
    DismissSlashing command{.slashing = id_of(words.at(1)), .reason = words.get("reason", "wrong")};
    const Place place = place_of(words.at(1));
    const std::string event = ids_.contains(place.app) ? std::to_string(ids_.at(place.app)) : place.app;
    store_->scan(Table::slashings, "", [&](std::string_view key, std::string_view record) {
        const Slashing s = Slashing::decode(record);
        if (s.node == place.node && std::ranges::count(s.event_ids, event) > 0)
            command.slashing = KeyReader(key).number();
        return true;
    });
    return ask(words, command, "admin", [](const std::string& body) {
        return fmt::format("{} {}", member(body, "amount_usd"), member(body, "status"));
    });
}

// see NODE[/APP] EVENT TYPE FROM TO [url=URL]
std::string Script::see(const Words& words) {
    using enum ObservationType;
    const Place place = place_of(words.at(1));
    Observe command{.node = place.node, .event_id = words.at(2), .observation = {}};
    command.observation = {
        .type = word_of(words.at(3), {health_pass, health_miss, attest_miss, downtime_migration}),
        .app = place.app,
        .from = time_of(words.at(4)),
        .to = time_of(words.at(5)),
        .evidence_url = words.get("url")};
    return ask(words, command, "uptime");
}

// abuse NODE[/APP] [PERIOD] [reason=WORD] [as=NAME]
std::string Script::abuse(const Words& words) {
    const Place place = place_of(words.at(1));
    FileAbuse command{.node = place.node, .app = place.app};
    if (words.rest.size() > 2) command.period = period_of(words.at(2));
    command.reason = words.get("reason", "mining");
    command.evidence_url = words.get("url");
    command.reported_by = words.get("reporter");
    return ask(words, command, "launcher", [](const std::string& body) { return member(body, "period"); });
}

std::string Script::decide(const Words& words) {
    return ask(words,
               DecideAbuse{.report = id_of(words.at(1)),
                           .authorize = words.at(2) == "authorize",
                           .decided_by = words.get("who", "owner")},
               "admin", [](const std::string& body) { return member(body, "status"); });
}

// finalize PERIOD [NODE] [pending=yes] [judged=yes]: how many units it tells of.
std::string Script::finalize(const Words& words) {
    Finalize command{.period = period_of(words.at(1))};
    if (words.rest.size() > 2) command.node = words.at(2);
    command.allow_pending = words.named.contains("pending");
    command.judged = words.named.contains("judged");
    return ask(words, command, "admin", [](const std::string& body) {
        std::size_t units = 0;
        for (std::size_t at = 0; (at = body.find("\"outcome\":", at)) != std::string::npos; ++at) ++units;
        return fmt::format("{} settled", units);
    });
}

// resolve NODE[/APP] CELL pass|fail [reason=WORD]
std::string Script::resolve(const Words& words) {
    const Place place = place_of(words.at(1));
    return ask(words,
               Resolve{.period = period_of(words.at(2)),
                       .node = place.node,
                       .app = place.app,
                       .pass = words.at(3) == "pass",
                       .allow_pending = words.named.contains("pending"),
                       .reason = words.get("reason", "looked")},
               "admin", [](const std::string& body) { return member(body, "outcome"); });
}

// slot NODE/APP AGENT CELL WINDOWS: "p", "o", "m", "d" or "?" for each of 120 s, or "all" that pass.
// [from=13:10] [window=60] [passed=1] [missed=1] [open=1] [drained=13:50] [back=yes]
std::string Script::slot(const Words& words) {
    const Place place = place_of(words.at(1));
    RecordSlots command{.cell = period_of(words.at(3))};
    Slot slot{.attested_at = LedgerTime{command.cell.start}};
    if (words.named.contains("from")) slot.attested_at = time_of(words.get("from"));
    slot.window_s = static_cast<std::uint32_t>(std::stoul(words.get("window", "120")));
    if (words.at(4) == "all") {
        const auto count = command.cell.length().count() / std::max<std::int64_t>(slot.window_s, 1);
        slot.windows.assign(static_cast<std::size_t>(count), '\1');
    } else if (words.at(4) != "none") {
        for (const char letter : words.at(4))
            slot.windows += static_cast<char>(std::string_view("?pomd").find(letter));
    }
    slot.challenges_passed = static_cast<std::uint32_t>(std::stoul(words.get("passed", "0")));
    slot.challenges_missed = static_cast<std::uint32_t>(std::stoul(words.get("missed", "0")));
    slot.challenges_inconclusive = static_cast<std::uint32_t>(std::stoul(words.get("open", "0")));
    if (words.named.contains("drained")) slot.drained_at = time_of(words.get("drained"));
    const auto resolved = static_cast<std::uint32_t>(std::stoul(words.get("resolved", "0")));
    const bool came_back = words.named.contains("back");
    command.seen.push_back({place.node, place.app, words.at(2), std::move(slot), resolved, came_back});
    return ask(words, command, "server");
}

// outage FROM [TO]
std::string Script::outage(const Words& words) {
    RecordOutage command{.outage = {.from = time_of(words.at(1)), .to = std::nullopt, .cause = "start"}};
    if (words.rest.size() > 2) command.outage.to = time_of(words.at(2));
    return ask(words, command, "server");
}

// settle [PERIOD] [locks=256] [units=16] [steps=N]: until nothing is left, or for N steps.
std::string Script::settle(const Words& words) {
    SettleMore command{.pending = SettleMore::Pending::wait_30_days};
    if (words.rest.size() > 1) command.period = period_of(words.at(1));
    command.locks_max = static_cast<std::uint32_t>(std::stoul(words.get("locks", "256")));
    command.units_max = static_cast<std::uint32_t>(std::stoul(words.get("units", "16")));
    for (int left = std::stoi(words.get("steps", "1000")); left > 0; --left) {
        Batch batch(*store_);
        Request request{.caller = caller_of(words.get("by", "server"))};
        request.command = command;
        const auto answer = ledger_.apply(batch, request, now_);
        if (!answer) return "! " + answer.error().code;
        store_->commit(batch.take());
        command.from = answer->next;
        if (answer->next.empty()) return "done";
    }
    return "more";
}

std::string Script::clock(const Words& words) {
    now_ = time_of(words.at(1));
    return "ok";
}

void run_script(std::string_view table, const Rules& rules) {
    Script(rules).run(table);
}

}  // namespace ee::ledger
