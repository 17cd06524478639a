#include "tunnel/tunnels.h"

#include <fmt/format.h>

#include "base/client_address.h"
#include "http/websocket_handshake.h"
#include "tunnel/message_sink.h"
#include "tunnel/shedding.h"

namespace ee::tunnel {

Tunnels::Tunnels(net::Loop& loop, SessionOwner& owner, const TunnelSettings& settings,
                 const TunnelLimits& limits, Entropy entropy)
    : loop_(loop),
      settings_(settings),
      limits_(limits),
      context_{loop, settings_, owner, decoder_, std::move(entropy)} {}

Tunnels::~Tunnels() = default;

Result<void> Tunnels::accept(http::Exchange& exchange, const net::IpAddress& client) {
    // v1 is the wire without a subprotocol.
    const std::string_view supported[] = {v2_subprotocol};
    const auto acceptance = http::accept_websocket(
        exchange.head(), settings_.takes_v2 ? std::span<const std::string_view>(supported)
                                            : std::span<const std::string_view>());
    if (!acceptance) return fail(acceptance.error());
    const net::IpAddress counted_as = client_address(client);
    const std::optional<Error> refusal = over_limit(counted_as);
    if (refusal && farewells_ >= limits_.unattested_max) return fail(*refusal);
    std::string response;
    http::append_websocket_acceptance(response, *acceptance);
    const TunnelId id = ++last_id_;
    const Wire wire = acceptance->protocol.empty() ? Wire::v1 : Wire::v2;
    auto session = std::make_shared<Session>(context_, id, wire, exchange.upgrade(response),
                                             [this](Session& gone) { remove(gone); });
    Session& added = *session;
    sessions_.emplace(id, Entry{std::move(session), client, !refusal, refusal.has_value()});
    if (refusal) {
        ++farewells_;
        added.refuse(*refusal, 10);
        return {};
    }
    ++unattested_;
    ++unattested_by_address_[counted_as];
    if (settings_.client_certificate_required && added.client_certificate().empty()) {
        added.refuse(
            {"ratls_missing",
             "agents must show an RA-TLS client certificate here (EE_RATLS is require): it is asked for "
             "on the direct name and on EE_RATLS_PORT"},
            std::nullopt);
    }
    return {};
}

std::optional<Error> Tunnels::over_limit(const net::IpAddress& client) const {
    if (sessions_.size() - farewells_ >= limits_.tunnels_max)
        return Error{"too_many_tunnels",
                     fmt::format("all {} tunnels are in use (EE_MAX_TUNNELS)", limits_.tunnels_max)};
    if (unattested_ >= limits_.unattested_max)
        return Error{"too_many_tunnels",
                     fmt::format("{} tunnels wait for attestation; at most {} may (EE_MAX_UNREGISTERED)",
                                 unattested_, limits_.unattested_max)};
    const auto found = unattested_by_address_.find(client);
    if (found != unattested_by_address_.end() && found->second >= limits_.unattested_per_address_max)
        return Error{"too_many_tunnels",
                     fmt::format("{} tunnels of {} wait for attestation; at most {} may "
                                 "(EE_MAX_UNREGISTERED_PER_ADDRESS)",
                                 found->second, client.to_string(), limits_.unattested_per_address_max)};
    return std::nullopt;
}

Session* Tunnels::find(TunnelId id) const {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : found->second.session.get();
}

net::IpAddress Tunnels::address_of(TunnelId id) const {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? net::IpAddress() : found->second.address;
}

net::IpAddress Tunnels::client_of(TunnelId id) const {
    return client_address(address_of(id));
}

Freed Tunnels::shed(std::size_t bytes) {
    std::vector<Holder> holders;
    for (const auto& [tunnel, entry] : sessions_)
        entry.session->visit_held([&, id = tunnel](StreamId stream, std::size_t held, MonoTime last_active) {
            holders.push_back({id, stream, held, last_active});
        });
    const std::vector<Holder> chosen = first_to_go(std::move(holders), bytes, loop_.now());
    Freed freed;
    for (const Holder& holder : chosen) {
        // What ends one may end others: they are looked up.
        if (Session* session = find(holder.tunnel)) session->shed_stream(holder.stream);
        ++freed.count;
        freed.bytes += holder.bytes;
    }
    return freed;
}

void Tunnels::attested(TunnelId id) {
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) uncount(found->second);
}

void Tunnels::uncount(Entry& entry) {
    if (!entry.unattested) return;
    entry.unattested = false;
    --unattested_;
    const auto found = unattested_by_address_.find(client_address(entry.address));
    if (--found->second == 0) unattested_by_address_.erase(found);
}

void Tunnels::remove(Session& session) {
    const auto found = sessions_.find(session.id());
    if (found == sessions_.end()) return;
    uncount(found->second);
    if (found->second.is_refused) --farewells_;
    loop_.dispose(std::move(found->second.session));
    sessions_.erase(found);
}

}  // namespace ee::tunnel
