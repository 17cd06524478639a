#pragma once
// All tunnels of a process: takes upgrade requests, holds the limits on who may try, finds sessions by id.

#include <memory>
#include <unordered_map>
#include <vector>

#include "http/exchange.h"
#include "tunnel/session.h"

namespace ee::tunnel {

struct TunnelLimits {
    std::size_t tunnels_max = 200000;
    std::size_t unattested_max = 4096;
    std::size_t unattested_per_address_max = 32;
};

class Tunnels {
public:
    Tunnels(net::Loop& loop, SessionOwner& owner, const TunnelSettings& settings, const TunnelLimits& limits,
            Entropy entropy);
    ~Tunnels();

    // Serves GET /v1/tunnel: upgrades. Over a limit the agent is told `too_many_tunnels`, without a client
    // certificate where one is required `ratls_missing`. Refused, and not answered, with the codes of
    // http::accept_websocket(), and with `too_many_tunnels` while as many are being told so as may be
    // unattested.
    Result<void> accept(http::Exchange& exchange, const net::IpAddress& client);

    // nullptr when the tunnel is gone.
    Session* find(TunnelId id) const;
    // From where it came, as trusted front ends say, and as limits count that; of one that is gone the
    // address of nobody.
    net::IpAddress address_of(TunnelId id) const;
    net::IpAddress client_of(TunnelId id) const;
    template <class Visit>
    void for_each(Visit&& visit) const {
        std::vector<TunnelId> ids;
        ids.reserve(sessions_.size());
        for (const auto& [id, entry] : sessions_) ids.push_back(id);
        for (const TunnelId id : ids)
            if (Session* session = find(id)) visit(*session);
    }

    // Ends every tunnel now; open requests fail.
    void close_all(const Error& why) {
        for_each([&](Session& session) { session.refuse(why, std::nullopt); });
    }

    // Ends streams that hold `bytes` of bodies in all, as far as there are any: see first_to_go().
    Freed shed(std::size_t bytes);

    std::size_t size() const { return sessions_.size(); }
    std::size_t unattested() const { return unattested_; }
    // To be called once a session is attested: it no longer counts against the limits on trying.
    void attested(TunnelId id);

private:
    struct Entry {
        std::shared_ptr<Session> session;
        net::IpAddress address;
        bool unattested = true;
        bool is_refused = false;  // Over a limit: it counts against none.
    };
    void remove(Session& session);
    void uncount(Entry& entry);
    std::optional<Error> over_limit(const net::IpAddress& client) const;

    net::Loop& loop_;
    TunnelSettings settings_;
    TunnelLimits limits_;
    protocol::Decoder decoder_;
    SessionContext context_;
    std::unordered_map<TunnelId, Entry> sessions_;
    std::unordered_map<net::IpAddress, std::size_t> unattested_by_address_;
    std::size_t unattested_ = 0;
    std::size_t farewells_ = 0;  // Refused, and not gone yet.
    TunnelId last_id_ = 0;
};

}  // namespace ee::tunnel
