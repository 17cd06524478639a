#include "proxy/passthrough.h"

#include "base/client_address.h"
#include "http/target.h"
#include "proxy/passthrough_call.h"

namespace ee::proxy {

Passthrough::Passthrough(net::Loop& loop, Forwarder& forwarder, tunnel::Tunnels& tunnels,
                         telemetry::AccessLog& access_log, telemetry::Metrics& metrics,
                         PassthroughSettings settings)
    : loop_(loop),
      forwarder_(forwarder),
      tunnels_(tunnels),
      visit_log_(loop, access_log),
      settings_(std::move(settings)),
      connections_(
          metrics.counter("ee_passthrough_connections_total", "TLS connections to apps, passed through")),
      open_(metrics.gauge("ee_passthrough_open", "Of these, open ones")),
      refused_(metrics.counter_family("ee_passthrough_refused_total",
                                      "TLS connections to apps that failed, by reason", "reason")),
      bytes_in_(metrics.counter("ee_passthrough_bytes_total", "Bytes of TLS connections to apps",
                                {{"direction", "in"}})),
      bytes_out_(metrics.counter("ee_passthrough_bytes_total", "Bytes of TLS connections to apps",
                                 {{"direction", "out"}})) {}

Passthrough::~Passthrough() = default;

Result<void> Passthrough::listen(const std::string& address, std::uint16_t port) {
    auto opened = net::Listener::open(
        loop_, address, port,
        [this](net::Fd socket, const net::Endpoint& peer) { accept(std::move(socket), peer); });
    if (!opened) return fail(std::move(opened.error()));
    listener_ = std::move(*opened);
    return {};
}

void Passthrough::accept(net::Fd socket, const net::Endpoint& peer) {
    connections_.add();
    if (!has_room_for(peer)) return refused_.count("too_many_connections");
    const auto call = std::make_shared<PassthroughCall>(*this, std::move(socket), peer);
    calls_.emplace(call.get(), call);
    open_.add(1);
    call->start();
}

bool Passthrough::has_room_for(const net::Endpoint& peer) const {
    if (calls_.size() >= settings_.connections_max || hellos_ >= settings_.hellos_max) return false;
    const auto found = hellos_of_client_.find(client_address(peer.ip));
    return found == hellos_of_client_.end() || found->second < settings_.hellos_per_client_max;
}

void Passthrough::hello_begins(const net::Endpoint& peer) {
    ++hellos_;
    ++hellos_of_client_[client_address(peer.ip)];
}

void Passthrough::hello_ends(const net::Endpoint& peer) {
    --hellos_;
    const auto found = hellos_of_client_.find(client_address(peer.ip));
    if (--found->second == 0) hellos_of_client_.erase(found);
}

Result<std::string> Passthrough::app_of(std::string_view server_name) const {
    const std::string_view app = http::first_label(server_name);
    const bool is_direct = http::is_under_domain(server_name, settings_.app_domain) &&
                           server_name.size() == app.size() + 1 + settings_.app_domain.size();
    if (is_direct && http::is_dns_label(app)) return std::string(app);
    return fail("unknown_app", "the server name is not <app>." + settings_.app_domain);
}

void Passthrough::remove(PassthroughCall& call) {
    auto node = calls_.extract(&call);
    if (node.empty()) return;
    open_.add(-1);
    loop_.dispose(std::move(node.mapped()));
}

void Passthrough::drain() {
    if (listener_) listener_->close();
    std::vector<std::shared_ptr<PassthroughCall>> reading;
    for (const auto& [key, call] : calls_)
        if (call->is_reading_hello()) reading.push_back(call);
    for (const auto& call : reading) call->cut({"draining", "the control plane is stopping"});
}

void Passthrough::close() {
    if (listener_) listener_->close();
    while (!calls_.empty()) calls_.begin()->second->cut({"draining", "the control plane has stopped"});
}

}  // namespace ee::proxy
