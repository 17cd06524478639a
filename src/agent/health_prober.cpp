#include "agent/health_prober.h"

#include <algorithm>

#include "http/http1_writer.h"

namespace ee::agent {
namespace {

constexpr std::chrono::seconds probe_timeout{5};
constexpr std::chrono::seconds retry_interval{2};
constexpr std::size_t answer_bytes_max = 64 * 1024;

}  // namespace

HealthProber::HealthProber(net::Loop& loop, net::WorkerPool& workers, net::Url target, bool connect_only,
                           std::shared_ptr<const net::TlsContext> tls, std::chrono::seconds interval,
                           OnResult on_result)
    : loop_(loop),
      workers_(workers),
      target_(std::move(target)),
      connect_only_(connect_only),
      tls_(std::move(tls)),
      interval_(interval),
      on_result_(std::move(on_result)),
      timer_(loop, [this] { probe(); }),
      connector_(loop, workers),
      answer_(answer_bytes_max, *this) {
    if (connect_only_ || !target_.is_http2()) return;
    http2_ = make_backend(loop, workers,
                          {.url = target_,
                           .tls = nullptr,
                           .timeout = std::min<std::chrono::seconds>(probe_timeout, interval_),
                           .body_bytes_max = answer_bytes_max});
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
    if (http2_) return probe_http2();
    connection_ = std::make_shared<http::ClientConnection>(loop_, workers_, target_, tls_, nullptr);
    std::string text;
    const bool written = http::append_request_line(text, "GET", target_.path.empty() ? "/" : target_.path) &&
                         http::append_field(text, "Host", target_.authority()) &&
                         http::append_field(text, "Connection", "close");
    if (!written) return report(false, "EE_HEALTH_URL cannot be written as a request");
    answer_.expect_from(*connection_);
    connection_->begin({.text = std::move(text.append("\r\n")),
                        .deadline = http::OutgoingRequest::Deadline::whole,
                        .time = timeout},
                       answer_);
}

void HealthProber::probe_http2() {
    protocol::ProxyRequest request;
    request.method = "GET";
    request.path = target_.path.empty() ? "/" : target_.path;
    http2_->send(request, [this](const http::AnswerView* answer, const Error& error) {
        if (answer != nullptr)
            on_answer(*answer);
        else
            report(false, error.detail);
    });
}

void HealthProber::on_answer(const http::AnswerView& answer) {
    const bool pass = answer.head.status >= 200 && answer.head.status < 300;
    report(pass, pass ? "" : "EE_HEALTH_URL answered " + std::to_string(answer.head.status));
}

void HealthProber::on_failure(http::RequestFailure, const std::string& why) {
    report(false, why);
}

void HealthProber::report(bool pass, const std::string& detail) {
    if (connection_) {
        connection_->cancel();
        loop_.dispose(std::move(connection_));
    }
    // A backend that is down is asked more often, so that the app serves soon after it is up.
    timer_.arm_after(pass ? interval_ : std::min(interval_, retry_interval));
    on_result_(pass, detail);
}

}  // namespace ee::agent
