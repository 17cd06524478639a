// The ledger against its model: random commands, clocks, duplicates, crashes and restored copies, the same
// for a seed whenever it is run.
//
//   ledger_simulation [--from SEED] [--seeds N] [--steps N] [--tell 1]     --seeds 0: for ever
//
// A failing seed prints what was done last and what differs; --from SEED --seeds 1 runs it alone. --tell
// counts what was answered to what.

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "describe.h"
#include "ledger/kept_evidence.h"
#include "ledger/ledger.h"
#include "ledger/ledger_check.h"
#include "ledger/log.h"
#include "ledger/outcome.h"
#include "ledger/records.h"
#include "ledger/test_books.h"
#include "model.h"
#include "seeds.h"
#include "workload.h"

namespace ee::simulation {
namespace {

using namespace ledger;

// A store that can be copied, as a file can.
class CopiedStore final : public Store {
public:
    struct Data {
        std::array<std::map<std::string, std::string, std::less<>>, table_count> tables;
        std::vector<std::string> leaves;
    };
    Data data;

    std::optional<std::string> get(Table table, std::string_view key) const override {
        const auto& records = data.tables[static_cast<std::size_t>(table)];
        const auto found = records.find(key);
        if (found == records.end()) return std::nullopt;
        return found->second;
    }
    void scan(Table table, std::string_view from, const Visit& visit) const override {
        const auto& records = data.tables[static_cast<std::size_t>(table)];
        for (auto record = records.lower_bound(from); record != records.end(); ++record)
            if (!visit(record->first, record->second)) return;
    }
    std::uint64_t leaf_count() const override { return data.leaves.size(); }
    std::optional<std::string> leaf(std::uint64_t index) const override {
        if (index >= data.leaves.size()) return std::nullopt;
        return data.leaves[index];
    }
    std::optional<std::string> tile(unsigned, std::uint64_t) const override { return std::nullopt; }
    void commit(const Changes& changes) override {
        if (!changes.leaves.empty() && changes.first_leaf != data.leaves.size())
            throw std::logic_error("leaves that do not follow");
        for (std::size_t table = 0; table < table_count; ++table)
            for (const auto& [key, record] : changes.records[table]) {
                if (record)
                    data.tables[table].insert_or_assign(key, *record);
                else
                    data.tables[table].erase(key);
            }
        data.leaves.insert(data.leaves.end(), changes.leaves.begin(), changes.leaves.end());
    }
};

class Differs : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

template <class A, class B>
void same(const A& ledger, const B& model, std::string_view what) {
    if (!(ledger == model))
        throw Differs(fmt::format("{}: the ledger says {}, the model {}", what, ledger, model));
}

std::string member(std::string_view body, std::string_view name, std::size_t from = 0) {
    const std::string key = fmt::format("\"{}\":", name);
    std::size_t at = body.find(key, from);
    if (at == std::string_view::npos) return "";
    at += key.size();
    if (body[at] == '"') return std::string(body.substr(at + 1, body.find('"', at + 1) - at - 1));
    return std::string(body.substr(at, body.find_first_of(",}", at) - at));
}

std::vector<std::string> outcomes_of(std::string_view body) {
    std::vector<std::string> out;
    for (std::size_t at = 0; (at = body.find("{\"cell\":", at)) != std::string_view::npos; ++at) {
        const std::string app = member(body, "app_name", at);
        out.push_back(fmt::format("{}/{} {} {} {} {}", member(body, "node_id", at), app == "null" ? "" : app,
                                  member(body, "outcome", at), member(body, "paid_usd", at),
                                  member(body, "returned_usd", at), member(body, "uncollected_usd", at)));
    }
    return out;
}

ModelRules rules_of(std::uint64_t seed) {
    ModelRules rules;
    if (seed % 10 == 9) rules.step_s = 86'400;
    rules.usage_requires_lock = seed % 7 == 6;
    rules.slash_auto = seed % 5 == 4;
    return rules;
}

class Simulation {
public:
    explicit Simulation(std::uint64_t seed)
        : workload_(seed),
          model_(rules_of(seed)),
          ledger_({.grid = model_.rules().step_s == 3600 ? Grid::hour : Grid::day,
                   .lock_ahead = std::chrono::seconds{model_.rules().lock_ahead_s},
                   .usage_requires_lock = model_.rules().usage_requires_lock,
                   .slash_auto = model_.rules().slash_auto}) {
        clock_us_ += static_cast<std::int64_t>(workload_.below(86'400)) * 1'000'000;
        model_.now = clock_us_;
    }

    void run(int steps) {
        while (auto step = workload_.opening()) commit({*std::move(step)});
        while (steps > 0) steps -= one_batch();
        look_at_everything();
        // The server's own check agrees about accounts and locks. Without a sealed log it reads no entries.
        for (const std::string& finding : check_ledger(store_, 0).findings)
            if (finding.starts_with("lock") || finding.starts_with("sum")) throw Differs(finding);
    }

    std::uint64_t commands() const { return commands_; }
    const std::map<std::string, std::uint64_t>& answers() const { return answers_; }
    const std::deque<std::string>& said() const { return said_; }

private:
    // What a crash takes back.
    struct Saved {
        Model model;
        std::optional<SettleMore> settling;
        CopiedStore::Data data;
    };

    int one_batch() {
        clock_us_ += workload_.clock_step();
        if (workload_.chance(150)) backup_ = Saved{model_, settling_, store_.data};
        if (backup_ && workload_.chance(150)) restore();
        model_.now = commit_time_us();
        const int count = workload_.chance(3) ? 1 + static_cast<int>(workload_.below(5)) : 1;
        if (!workload_.chance(12)) {
            run_batch(count);
            return count;
        }
        // The same, and the power fails before the commit.
        const Model before = model_;
        const std::optional<SettleMore> settling = settling_;
        Batch lost(store_);
        for (int i = 0; i < count; ++i) do_step(lost, choose());
        say("... was lost");
        model_ = before;
        settling_ = settling;
        return count;
    }

    // As the server has it, of a clock that steps back at times.
    std::int64_t commit_time_us() const {
        const auto newest = last_leaf(store_, store_.leaf_count());
        return to_us(commit_time(from_us(clock_us_), from_us(newest.value().time_us)));
    }

    void restore() {
        model_ = backup_->model;
        settling_ = backup_->settling;
        store_.data = backup_->data;
        books_ = BooksCheck();
        look_at_books(books_.look(store_));
        say("... an earlier copy was restored");
    }

    void run_batch(int count) {
        Batch batch(store_);
        for (int i = 0; i < count; ++i) do_step(batch, choose());
        commit(batch);
        if (workload_.chance(24)) look_at_everything();
    }

    void commit(const Step& step) {
        Batch batch(store_);
        do_step(batch, finish(step));
        commit(batch);
    }

    void commit(Batch& batch) {
        const Changes changes = batch.take();
        store_.commit(changes);
        look_at(changes);
    }

    Step choose() {
        if (workload_.chance(settling_ ? 4 : 16)) return finish(settle_some());
        if (!history_.empty() && workload_.chance(12)) {
            Step again = history_[workload_.below(history_.size())];  // a client that heard nothing
            if (!workload_.chance(5)) return again;
            Step other = finish(workload_.next(model_));
            other.key = again.key;
            return other;
        }
        return finish(workload_.next(model_));
    }

    Step settle_some() {
        if (!settling_) {
            SettleMore command{.pending = static_cast<SettleMore::Pending>(workload_.below(3))};
            const std::int64_t start = model_.cell_of(model_.now) -
                                       static_cast<std::int64_t>(workload_.below(6)) * model_.rules().step_s;
            if (!workload_.chance(6))
                command.period = Period{Seconds{std::chrono::seconds{start}},
                                        Seconds{std::chrono::seconds{start + 4 * model_.rules().step_s}}};
            command.units_max = static_cast<std::uint32_t>(workload_.below(4));
            command.locks_max = static_cast<std::uint32_t>(1 + workload_.below(4));
            settling_ = command;
            model_.cursor.reset();
            model_.cursor_at_end = false;
        }
        return {.role = Role::server, .command = *settling_};
    }

    // Gives it a key, mostly, and its text.
    Step finish(Step step) {
        step.text = describe(step.command);
        if (!std::holds_alternative<SettleMore>(step.command) && !workload_.chance(12)) {
            step.key = fmt::format("k{}", ++keys_);
            history_.push_back(step);
        }
        return step;
    }

    void do_step(Batch& batch, const Step& step) {
        ++commands_;
        Request request{.caller = {.role = step.role},
                        .idempotency_key = step.key,
                        .method = "POST",
                        .path = fmt::format("/{}", step.command.index())};
        if (step.token.size() == request.caller.token.size())
            std::copy(step.token.begin(), step.token.end(), request.caller.token.begin());
        request.content = crypto::sha256(as_bytes(step.text));
        request.command = step.command;
        say(fmt::format("{} {} key={} {}", to_text(from_us(model_.now)),
                        std::array{"admin", "launcher", "uptime", "auditor", "holder",
                                   "server"}[static_cast<std::size_t>(step.role)],
                        step.key, step.text));
        const auto answer = ledger_.apply(batch, request, from_us(model_.now));
        said_.back() += answer ? " => " + answer->body : " => " + answer.error().code;
        const Expected expected = model_.apply(step);
        compare(step, answer, expected);
        ++answers_[fmt::format("{} {}", step.text.substr(0, step.text.find(' ')),
                               !answer            ? answer.error().code
                               : answer->replayed ? "replayed"
                                                  : "ok")];
        std::uint64_t id = 0;
        if (answer && std::holds_alternative<TakeLock>(step.command))
            id = std::stoull(member(answer->body, "lock_id"));
        if (answer && std::holds_alternative<FileAbuse>(step.command))
            id = std::stoull(member(answer->body, "report_id"));
        model_.conclude(step, answer ? "" : answer.error().code, answer ? answer->body : "", id);
        number_slashings(batch);
        if (answer && std::holds_alternative<SettleMore>(step.command)) {
            settling_->from = answer->next;
            if (answer->next.empty()) settling_.reset();
        }
    }

    // What proposes one does not answer with its number. Both have them in the order they came in.
    void number_slashings(const Batch& batch) {
        auto& known = model_.slashings;
        if (known.empty() || known.back().id != 0) return;
        std::size_t count = 0;
        batch.scan_from(Table::slashings, "", [&](std::string_view key, std::string_view) {
            if (count == known.size()) return false;
            known[count++].id = KeyReader(key).number();
            return true;
        });
    }

    static void compare(const Step& step, const Result<Answer>& answer, const Expected& expected) {
        const std::string code = answer ? "ok" : answer.error().code;
        if (expected.refusals.empty() ? !answer : !expected.refusals.contains(code))
            throw Differs(fmt::format("the ledger says {} ({}), the model {}", code,
                                      answer ? "" : answer.error().detail,
                                      expected.refusals.empty() ? "ok" : *expected.refusals.begin()));
        if (!answer) return;
        same(answer->replayed, expected.replayed, "replayed");
        if (expected.body) same(answer->body, *expected.body, "the first answer again");
        if (answer->replayed) return;
        for (const auto& [name, value] : expected.members) same(member(answer->body, name), value, name);
        if (std::holds_alternative<SettleMore>(step.command))
            same(!answer->next.empty(), expected.more, "whether there is more to settle");
        if (std::holds_alternative<Finalize>(step.command))
            same(fmt::format("{}", fmt::join(outcomes_of(answer->body), ", ")),
                 fmt::format("{}", fmt::join(expected.outcomes, ", ")), "outcomes");
    }

    // All that a commit changed, and every account.
    void look_at(const Changes& changes) {
        look_at_books(books_.look(store_, changes));
        for (const auto& [name, expected] : model_.accounts) look_at_account(name, expected);
        for (const auto& [key, record] : changes.of(Table::units)) look_at_unit(key, record);
        for (const auto& [name, record] : changes.of(Table::nodes)) look_at_node(name, model_.nodes.at(name));
        if (!changes.of(Table::slashings).empty()) look_at_slashings();
        if (!changes.of(Table::locks).empty()) look_at_locks();
    }

    // And that nothing was left as it was that the model has changed.
    void look_at_everything() {
        look_at_books(books_.look(store_));
        std::size_t units = 0;
        store_.scan(Table::units, "", [&](std::string_view key, std::string_view record) {
            look_at_unit(key, std::string(record));
            return ++units > 0;
        });
        same(units, model_.units.size(), "units");
        for (const auto& [key, unit] : model_.units)
            ++answers_[fmt::format("unit seen as {} {}", static_cast<int>(unit.outcome), unit.reasons)];
        for (const auto& [name, node] : model_.nodes) look_at_node(name, node);
        look_at_slashings();
        look_at_locks();
    }

    static void look_at_books(const std::vector<std::string>& broken) {
        if (!broken.empty()) throw Differs(broken.front());
    }

    // Every one after every commit: without making texts of what is the same.
    void look_at_account(const std::string& name, const Model::Account& expected) {
        const auto record = store_.get(Table::accounts, name);
        const Account account = record ? Account::decode(*record) : Account{};
        if (account.available.micro() == expected.available && account.locked.micro() == expected.locked)
            return;
        same(to_usd(account.available), usd(expected.available), name);
        same(to_usd(account.locked), usd(expected.locked), name + ", locked");
    }

    void look_at_slashings() {
        std::string slashings, expected;
        store_.scan(Table::slashings, "", [&](std::string_view, std::string_view record) {
            const Slashing s = Slashing::decode(record);
            slashings += fmt::format("{} {} {} {}; ", s.node, s.cause, to_usd(s.amount), to_word(s.state));
            return true;
        });
        for (const auto& s : model_.slashings)
            expected += fmt::format("{} {} {} {}; ", s.node, s.cause, usd(s.amount), s.state);
        same(slashings, expected, "slashings");
    }

    void look_at_locks() {
        std::map<char, std::size_t> states;
        for (const Lock& lock : model_.locks) ++states[lock.state];
        std::map<char, std::size_t> known;
        store_.scan(Table::locks, "", [&](std::string_view, std::string_view record) {
            return ++known[to_word(ledger::Lock::decode(record).state)[0]], true;
        });
        for (const char state : {'h', 's', 'r'}) same(known[state], states[state], "locks");
    }

    void look_at_node(const std::string& name, const Model::Node& node) {
        const auto record = store_.get(Table::nodes, name);
        same(record.has_value(), true, name);
        std::string parts;
        for (const auto& [source, amount] : node.stake) parts += source + " " + usd(amount) + ", ";
        std::string kept;
        const ledger::Node known_node = ledger::Node::decode(*record);
        for (const StakePart& part : known_node.stake_parts)
            kept += part.source + " " + to_usd(part.amount) + ", ";
        same(kept, parts, "stake of " + name);
        same(known_node.owner, node.owner, "owner of " + name);
        same(known_node.banned, node.banned, "ban of " + name);
    }

    // nullopt: there was nothing to settle of it.
    void look_at_unit(std::string_view key, const std::optional<std::string>& record) {
        const UnitName name = UnitName::from_key(key, ledger_.rules().grid);
        const std::string words = fmt::format("unit {} {}/{}", to_text(name.cell), name.node, name.app);
        const auto expected =
            model_.units.find({name.cell.start.time_since_epoch().count(), name.node, name.app});
        same(record.has_value(), expected != model_.units.end(), words);
        if (!record) return;
        const ledger::Unit unit = ledger::Unit::decode(*record);
        const auto& [model_key, known] = *expected;
        same(fmt::format("{} {} {} {} {} {} {} {}", static_cast<int>(unit.outcome),
                         fmt::join(unit.reasons, ","), to_usd(unit.paid), to_usd(unit.returned),
                         to_usd(unit.uncollected), to_usd(unit.claimed), unit.has_usage, unit.moving),
             fmt::format("{} {} {} {} {} {} {} {}", static_cast<int>(known.outcome), known.reasons,
                         usd(known.paid), usd(known.returned), usd(known.uncollected), usd(known.claimed),
                         known.has_usage, known.moving),
             words);
        if (unit.is_settled()) check_bundle(unit, evidence_json(Batch(store_), unit));
    }

    // P3: whoever has the bundle comes to the same outcome.
    static void check_bundle(const ledger::Unit& unit, const std::string& bundle) {
        const auto evidence = evidence_from_json(bundle);
        if (!evidence) throw Differs("a bundle that can't be read: " + evidence.error().detail);
        same(to_json(*evidence), bundle, "the bundle, read and written");
        const Judgement judged = judge(*evidence);
        if (unit.reasons.size() == 1 && unit.reasons[0].starts_with("resolved: ")) {
            same(static_cast<int>(judged.outcome), static_cast<int>(Outcome::inconclusive),
                 "what was resolved");
            return;
        }
        same(static_cast<int>(judged.outcome), static_cast<int>(unit.outcome), "judged again");
        same(judged.reasons == unit.reasons, true, "the reasons again");
    }

    void say(std::string what) {
        said_.push_back(std::move(what));
        if (said_.size() > 25) said_.pop_front();
    }

    Workload workload_;
    Model model_;
    Ledger ledger_;
    CopiedStore store_;
    BooksCheck books_;
    std::int64_t clock_us_ = 1'767'963'600'000'000;  // the machine's
    std::optional<SettleMore> settling_;
    std::optional<Saved> backup_;
    std::vector<Step> history_;
    std::uint64_t keys_ = 0;
    std::uint64_t commands_ = 0;
    std::map<std::string, std::uint64_t> answers_;
    std::deque<std::string> said_;
};

// The number of commands; nullopt: it failed, and said so.
std::optional<std::uint64_t> run_seed(std::uint64_t seed, int steps,
                                      std::map<std::string, std::uint64_t>& answers) {
    Simulation simulation(seed);
    if (!holds(simulation, seed, fmt::format("make simulate SEED={}", seed), [&] { simulation.run(steps); }))
        return std::nullopt;
    for (const auto& [what, times] : simulation.answers()) answers[what] += times;
    return simulation.commands();
}

}  // namespace
}  // namespace ee::simulation

int main(int count, char** arguments) {
    using namespace ee::simulation;
    const std::uint64_t from = number_after(count, arguments, "--from", 1);
    const std::uint64_t seeds = number_after(count, arguments, "--seeds", 1000);
    const int steps = static_cast<int>(number_after(count, arguments, "--steps", 90));
    std::uint64_t commands = 0, done = 0;
    std::map<std::string, std::uint64_t> answers;
    const auto start = std::chrono::steady_clock::now();
    const auto tell = [&] {
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        fmt::print("{} seeds from {} on, {} commands, {:.0f} seeds/s\n", done, from, commands,
                   static_cast<double>(done) / took.count());
        std::fflush(stdout);
    };
    for (std::uint64_t seed = from; seeds == 0 || seed < from + seeds; ++seed) {
        const auto ran = run_seed(seed, steps, answers);
        if (!ran) return 1;
        commands += *ran;
        if (++done % 10'000 == 0) tell();
    }
    if (done % 10'000 != 0) tell();
    if (number_after(count, arguments, "--tell", 0) != 0)
        for (const auto& [what, times] : answers) fmt::print("{:>8} {}\n", times, what);
    return 0;
}
