#pragma once
// Rules of the ledger as text. Each line says what somebody asks for and, behind "=>", what comes of it:
//
//   open alice                     => ok
//   buy alice 100                  => ok
//   lock alice n1/shop 13h 4h      => 0.2        (4 vCPU-hours at 0.05 USD)
//   use alice n1/shop 13h 3h id=r1 => 0.15 + 0   (drawn, and what nobody pays)
//   finalize 13h                   => period_open
//
// "ok" is any first answer, "replayed" the first answer again, a word of refusals.h a refusal. After each
// line the books are checked (test_books.h). The clock begins at 13:00 on 2026-01-09; "13h" is the cell from
// then to 14:00. What is not said otherwise is asked by the admin, with an idempotency key of its own;
// by=NAME, key=WORD and key=- (none) change that. All words: test_script.cpp.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/ledger.h"
#include "ledger/test_books.h"

namespace ee::ledger {

// A new, empty store: which kind, the test binary decides by what it is linked with.
std::unique_ptr<Store> new_test_store();

class Script {
public:
    explicit Script(const Rules& rules = {});

    // Each failing line is told with its number.
    void run(std::string_view table);

    const Store& store() const { return *store_; }
    LedgerTime now() const { return now_; }

private:
    // A line's words: in a row, and those of the form name=value.
    struct Words {
        std::vector<std::string> rest;
        std::map<std::string, std::string> named;
        std::string content;  // without the key

        const std::string& at(std::size_t place) const;
        std::string get(const std::string& name, std::string_view otherwise = "") const;
    };
    struct Place {
        std::string node;
        std::string app;
    };
    using Verb = std::string (Script::*)(const Words&);
    static const std::map<std::string_view, Verb>& verbs();

    static Words words_of(std::string_view line);
    static Place place_of(const std::string& text);
    LedgerTime time_of(const std::string& text) const;
    Period period_of(const std::string& text) const;
    std::uint64_t id_of(const std::string& name) const;
    static Money money_of(const std::string& text);
    static Hours hours_of(const std::string& text);

    // What is said of a first answer is up to the caller.
    std::string ask(const Words& words, Command command, std::string_view by,
                    const std::function<std::string(const std::string& body)>& say = nullptr);
    // The text or number of a member of an answer.
    static std::string member(const std::string& body, std::string_view name);

    std::string open(const Words& words);
    std::string rotate(const Words& words);
    std::string buy(const Words& words);
    std::string redeem(const Words& words);
    std::string move(const Words& words);
    std::string lock(const Words& words);
    std::string release(const Words& words);
    std::string use(const Words& words);
    std::string node(const Words& words);
    std::string unstake(const Words& words);
    std::string ban(const Words& words);
    std::string slash(const Words& words);
    std::string dismiss(const Words& words);
    std::string see(const Words& words);
    std::string abuse(const Words& words);
    std::string decide(const Words& words);
    std::string finalize(const Words& words);
    std::string resolve(const Words& words);
    std::string slot(const Words& words);
    std::string outage(const Words& words);
    std::string settle(const Words& words);
    std::string clock(const Words& words);
    std::string show(const Words& words);
    std::string show_lock(const Words& words);
    std::string show_unit(const Words& words);
    std::string show_node(const Words& words);
    std::string show_terms(const Words& words);
    std::string show_slashings(const Words& words);

    Rules rules_;
    Ledger ledger_;
    std::unique_ptr<Store> store_;
    BooksCheck books_;
    LedgerTime now_;
    std::map<std::string, std::uint64_t> ids_;  // as=NAME
    int keys_ = 0;
};

// A new ledger for each table.
void run_script(std::string_view table, const Rules& rules = {});

}  // namespace ee::ledger
