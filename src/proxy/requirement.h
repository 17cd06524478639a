#pragma once
// EE-Require: what a caller asks of the agent that serves it, and whether an agent has proven as much.
// Pure: times are arguments.

#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "http/message.h"
#include "registry/agent.h"

namespace ee::proxy {

inline constexpr std::string_view require_field = "ee-require";
// Of its lines, joined; more is refused before it is read.
inline constexpr std::size_t requirement_bytes_max = 4096;

// What a requirement can be about. Measurements are the last five, in the order of AttestedVerdict::measured.
enum class RequirementKey { sealed, tcb, max_age, release, mrtd, rtmr0, rtmr1, rtmr2, rtmr3 };
inline constexpr std::size_t requirement_keys = 9;
inline constexpr std::size_t requirement_measurements = 5;
std::string_view to_word(RequirementKey key);

struct Requirement {
    bool sealed = false;
    std::vector<std::string> tcb{};  // One of these; empty: any.
    std::optional<std::chrono::seconds> age_max{};
    std::optional<std::string> release{};
    std::array<std::optional<ByteArray<48>>, requirement_measurements> measured{};
    // ":<base64 of SHA-256>:", of the requirement as RFC 9651 section 4.1 writes it.
    std::string met{};
};

// A dictionary (RFC 9651) of at least one of: `sealed` (true), `tcb` (an inner list of tokens, not empty),
// `max-age` (an integer, seconds, not negative), `release` (a string), `mrtd`, `rtmr0` to `rtmr3` (strings of
// 96 hex digits). Refusal: `invalid_requirement`, which says what is wrong with which key.
Result<Requirement> parse_requirement(std::string_view text);

// Of a request: nullopt when it asks for nothing. All lines of the field count, as one (RFC 9651
// section 4.2).
Result<std::optional<Requirement>> requirement_of(std::span<const http::Field> fields);

// Which keys an agent does not meet.
class Unmet {
public:
    constexpr void add(RequirementKey key) { bits_ |= bit(key); }
    // The agent's answers are not bound to it: a younger one would be no better.
    constexpr void add_binding() { bits_ |= 1u << requirement_keys; }
    constexpr bool has(RequirementKey key) const { return (bits_ & bit(key)) != 0; }
    constexpr bool none() const { return bits_ == 0; }
    constexpr bool is_age_alone() const { return bits_ == bit(RequirementKey::max_age); }

private:
    static constexpr unsigned bit(RequirementKey key) { return 1u << static_cast<unsigned>(key); }
    unsigned bits_ = 0;
};

// By the agent's last good verdict. An answer that is not bound to its challenge proves nothing: it meets no
// key at all. Evidence that came at `asked_at` or later is young enough for any max-age.
Unmet unmet(const Requirement& requirement, const registry::Agent& agent, MonoTime now, MonoTime asked_at);

// The body of a 412, a problem (RFC 9457): `available` has, of the eligible agents, what each has proven and
// which keys it does not meet.
class Offers {
public:
    Offers(const Requirement& requirement, Moment now, MonoTime asked_at)
        : requirement_(requirement), now_(now), asked_at_(asked_at) {}

    // The first 16 are shown.
    void add(const registry::Agent& agent);
    std::string problem_body(const Error& why) const;

private:
    static constexpr std::size_t shown_max = 16;

    const Requirement& requirement_;
    const Moment now_;
    const MonoTime asked_at_;
    std::string shown_{};  // JSON objects, separated by commas.
    std::size_t count_ = 0;
};

}  // namespace ee::proxy
