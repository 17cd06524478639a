#pragma once

#include <optional>
#include <string>

#include "api/ledger_door.h"
#include "ledger/test_ledger.h"
#include "net/loop.h"

namespace ee::control_plane {

inline ledger::LedgerTime ledger_now() {
    return ledger::LedgerTime{wall_now()};
}

// A ledger in memory that answers on the loop.
class TestLedgerDoor final : public api::LedgerDoor {
public:
    explicit TestLedgerDoor(net::Loop& loop) : loop_(loop) {}
    void run(ledger::Request request, OnReply on_reply) override {
        books.now = ledger_now();
        Result<ledger::Reply> reply = ledger::Reply{};
        if (busy || busy_commands > 0) {
            if (!busy) --busy_commands;
            ++refused;
            reply = fail("ledger_busy", "too many wait");
        } else if (const auto answer = books.apply(request); !answer) {
            reply = fail(answer.error());
        } else {
            ++commands;
        }
        loop_.post([on_reply = std::move(on_reply), reply] { on_reply(reply); });
    }
    void recorded_until(ledger::LedgerTime time) override {
        told = time;
        outages_when_told = outages().size();
    }
    bool ask(Question question, std::function<void(Result<std::string>)> on_answer) override {
        ledger::LogReader log(books.store);
        const auto shown =
            question({.store = books.store, .rules = rules_, .log = log, .tree = {}, .now = books.now});
        loop_.post([on_answer = std::move(on_answer),
                    answered = shown ? Result<std::string>(shown->body) : fail(shown.error())] {
            on_answer(answered);
        });
        return true;
    }
    State state() const override { return {.word = stands_still ? "halted" : "ok"}; }
    Counts counts() const override { return {.leaves = books.store.leaf_count()}; }
    crypto::Sha256 salted(const net::IpAddress&) const override { return {}; }

    // Of the newest cell that it has one in.
    std::optional<ledger::Slot> slot(std::string_view agent) const {
        std::optional<ledger::Slot> found;
        const std::string end = std::string(1, '\0') + std::string(agent) + std::string(1, '\0');
        books.store.scan(ledger::Table::slots, "", [&](std::string_view key, std::string_view record) {
            if (key.ends_with(end)) found = ledger::Slot::decode(record);
            return true;
        });
        return found;
    }

    std::vector<ledger::Outage> outages() const {
        std::vector<ledger::Outage> out;
        books.store.scan(ledger::Table::outages, "", [&](std::string_view, std::string_view record) {
            out.push_back(ledger::Outage::decode(record));
            return true;
        });
        return out;
    }

    ledger::TestLedger books;
    std::optional<ledger::LedgerTime> told;  // until when all is recorded
    std::size_t outages_when_told = 0;
    bool busy = false, stands_still = false;
    int busy_commands = 0;  // so many are refused
    int refused = 0, commands = 0;

private:
    net::Loop& loop_;
    const ledger::Rules rules_{};
};

}  // namespace ee::control_plane
