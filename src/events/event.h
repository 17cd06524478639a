#pragma once
// One change of an app's, an agent's or a node's state, and who takes it. Plain values.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"

namespace ee::events {

struct Event {
    std::uint64_t seq = 0;  // Given by the log: it only grows, and no number is ever given twice.
    WallTime at{};
    std::string kind{};      // One of kinds().
    std::string app_name{};  // Empty, like the two below: it is of none.
    std::string agent_id{};
    std::string node_id{};
    std::string code{};  // May be empty.
    std::string detail{};
    std::string data{};  // What the kind adds, a JSON object; empty: nothing.

    friend bool operator==(const Event&, const Event&) = default;
};

struct Kind {
    std::string_view name;
    std::string_view means;
};
// Every kind there is, as docs/events.md lists them.
std::span<const Kind> kinds();
bool is_kind(std::string_view name);

// Appends the event as one JSON object, on one line.
void append_json(std::string& out, const Event& event);

class Sink {
public:
    // On the loop's thread; waits for nothing. Answers the number the event got.
    virtual std::uint64_t add(Event event) = 0;

protected:
    ~Sink() = default;
};

}  // namespace ee::events
