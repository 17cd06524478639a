#include "agent/health_prober.h"

#include <algorithm>

#include "http/http1_writer.h"

namespace ee::agent {
namespace {

constexpr std::chrono::seconds probe_timeout{5};
constexpr std::chrono::seconds retry_interval{2};

}  // namespace

HealthProber::HealthProber(net::Loop& loop, net::Resolver& resolver, net::Url target, bool connect_only,
                           std::shared_ptr<const net::TlsContext> tls, std::chrono::seconds interval,
                           OnResult on_result)
    : loop_(loop),
      resolver_(resolver),
      target_(std::move(target)),
      connect_only_(connect_only),
      tls_(std::move(tls)),
      interval_(interval),
      on_result_(std::move(on_result)),
      timer_(loop, [this] { probe(); }),
      deadline_(loop, [this] { on_deadline(); }),
      connector_(loop, resolver) {
    if (!connect_only_ && target_.is_http2()) renew_http2();
}

HealthProber::~HealthProber() = default;

void HealthProber::start() {
    probe();
}

void HealthProber::probe() {
    const auto timeout = std::min<std::chrono::seconds>(probe_timeout, interval_);
    if (connect_only_) {
        return connector_.connect(target_, timeout, [this](Result<net::Fd> socket) {
            report(socket.has_value(), socket ? "" : socket.error().detail);
        });
    }
    end_request();  // The body of the one before may still be coming.
    is_judged_ = false;
    deadline_.arm_after(timeout);
    const std::string path = target_.path.empty() ? "/" : target_.path;
    if (http2_) {
        exchange_ = &http2_->open({.method = "GET", .path = path, .fields = {}}, *this);
        return;
    }
    std::string text;
    const bool written = http::append_request_line(text, "GET", path) &&
                         http::append_field(text, "Host", target_.authority()) &&
                         http::append_field(text, "Connection", "close");
    if (!written) return report(false, "EE_HEALTH_URL cannot be written as a request");
    connection_ = std::make_shared<http::ClientConnection>(loop_, resolver_, target_, tls_, nullptr);
    exchange_ = connection_.get();
    connection_->begin({.text = std::move(text.append("\r\n"))}, *this);
}

// Of the body so much is read, and dropped, as an exchange hands out without any of it being consumed, and
// until the deadline.
void HealthProber::on_head(const http::ResponseHead& head) {
    const bool pass = head.status >= 200 && head.status < 300;
    report(pass, pass ? "" : "EE_HEALTH_URL answered " + std::to_string(head.status));
}

void HealthProber::on_end(std::span<const http::Field>) {
    exchange_ = nullptr;
    end_request();
}

void HealthProber::on_failure(http::RequestFailure, const std::string& why) {
    exchange_ = nullptr;
    end_request();
    if (!is_judged_) report(false, why);
}

void HealthProber::on_deadline() {
    end_request();
    if (is_judged_) return;
    if (http2_) renew_http2();  // The connection may be dead: no more is asked there.
    report(false, "EE_HEALTH_URL did not answer in time");
}

void HealthProber::renew_http2() {
    if (http2_) loop_.dispose(std::shared_ptr<Backend>(std::move(http2_)));
    http2_ = make_backend(loop_, resolver_, {.url = target_, .tls = nullptr});
}

void HealthProber::end_request() {
    deadline_.cancel();
    if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->cancel();
    if (connection_) loop_.dispose(std::move(connection_));
}

void HealthProber::report(bool pass, const std::string& detail) {
    is_judged_ = true;
    // A backend that is down is asked more often, so that the app serves soon after it is up.
    timer_.arm_after(pass ? interval_ : std::min(interval_, retry_interval));
    on_result_(pass, detail);
}

}  // namespace ee::agent
