#pragma once
// Which agents are out of routing because requests to them failed several times in a row. Pure: times are
// arguments.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/text_hash.h"
#include "base/time.h"

namespace ee::proxy {

// Five failures in a row, each `backend_unreachable`, `tunnel_closed`, `stream_refused` or `proxy_timeout`,
// put an agent out for 10 s. Then one request goes to it again, the probe: if that fails, too, it is out for
// twice as long, up to 5 min. A probe that has no outcome within 10 s, as one whose visitor stalls it, is
// followed by another. Any answer makes all of it forgotten.
//
// An agent is (app, agent id), not a tunnel: one that comes back under its name keeps its record. But the
// requests that a tunnel takes along when it dies are one failure, not many: an agent that was killed once
// serves again as soon as it is back.
class Ejections {
public:
    static constexpr int failures_in_a_row = 5;
    static constexpr std::chrono::seconds out_first{10};
    static constexpr std::chrono::seconds out_max{300};
    static constexpr std::chrono::seconds probe_time{10};

    struct AgentName {
        std::string_view app{};
        std::string_view agent_id{};
    };
    // As tunnel::TunnelId.
    using Tunnel = std::uint64_t;

    // Whether the refusal's code counts as a failure of the agent.
    static bool counts(std::string_view code);

    // A request to it failed with such a code. `lost`: the tunnel that it was lost with, 0 where the tunnel
    // goes on. True when that has put the agent out.
    bool failed(AgentName agent, Tunnel lost, bool is_probe, MonoTime now);
    // True when that has ended its being out.
    bool succeeded(AgentName agent);
    // The probe had no outcome, because its visitor left: the next request is one.
    void probe_abandoned(AgentName agent);
    // A request goes to it now. True: it is the probe; then one of the above is told of it.
    bool begins_probe(AgentName agent, MonoTime now);

    // Whether it is to be left out of a choice.
    bool is_out(AgentName agent, MonoTime now) const;
    // For operators: until when; while its probe is under way, when that became due.
    std::optional<MonoTime> out_until(AgentName agent) const;

    // Nothing is known against anybody: nothing need be asked, and no success told.
    bool empty() const { return records_.empty(); }
    std::size_t size() const { return records_.size(); }

private:
    struct Record {
        int failures = 0;
        std::chrono::seconds out_for{0};
        std::optional<MonoTime> out_until{};
        MonoTime probed_until{};  // While a probe is under way.
        Tunnel lost = 0;
        MonoTime touched{};
    };
    using Records = std::unordered_map<std::string, Record, TextHash, std::equal_to<>>;

    // Records of agents that have not failed for so long are given up when there are many.
    static constexpr std::chrono::minutes remembered{10};
    static constexpr std::size_t records_max = 4096;

    std::string_view key_of(AgentName agent) const;
    Record* find(AgentName agent);
    const Record* find(AgentName agent) const;
    Record* find_or_add(AgentName agent, MonoTime now);

    Records records_;
    MonoTime next_look_{};     // For records that may be given up.
    mutable std::string key_;  // Of the agent being looked for.
};

// One request on its way to an agent. Ends with one of answered() and failed(); else it had no outcome.
class Attempt {
public:
    Attempt() = default;
    // The names live as long as this.
    Attempt(Ejections& ejections, Ejections::AgentName agent, Ejections::Tunnel tunnel, MonoTime now)
        : ejections_(&ejections),
          agent_(agent),
          tunnel_(tunnel),
          is_probe_(ejections.begins_probe(agent, now)) {}
    Attempt(Attempt&& other) noexcept
        : ejections_(std::exchange(other.ejections_, nullptr)),
          agent_(other.agent_),
          tunnel_(other.tunnel_),
          is_probe_(std::exchange(other.is_probe_, false)) {}
    Attempt& operator=(Attempt&& other) noexcept {
        std::swap(ejections_, other.ejections_);
        std::swap(agent_, other.agent_);
        std::swap(tunnel_, other.tunnel_);
        std::swap(is_probe_, other.is_probe_);
        return *this;
    }
    ~Attempt() {
        if (is_probe_) ejections_->probe_abandoned(agent_);
    }

    // True when that has ended the agent's being out.
    bool answered() {
        is_probe_ = false;
        return ejections_ != nullptr && ejections_->succeeded(agent_);
    }
    const Ejections::AgentName& agent() const { return agent_; }
    Ejections::Tunnel tunnel() const { return tunnel_; }
    // `is_lost`: with its tunnel. True when that has put the agent out.
    bool failed(std::string_view code, bool is_lost, MonoTime now);

private:
    Ejections* ejections_ = nullptr;
    Ejections::AgentName agent_{};
    Ejections::Tunnel tunnel_ = 0;
    bool is_probe_ = false;
};

}  // namespace ee::proxy
