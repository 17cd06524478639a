#include "agent/sealed.h"

#include "agent/quote_on_worker.h"
#include "attestation/ratls_issuing.h"
#include "crypto/digest.h"

namespace ee::agent {
namespace {

// Clients' clocks may be behind ours.
constexpr std::chrono::seconds backdated{300};
constexpr std::string_view h2 = "h2";
constexpr std::string_view http1 = "http/1.1";

}  // namespace

// A certificate whose quote is being made.
struct Sealed::Making {
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::p256);
    ByteArray<32> spki_sha256 = crypto::sha256(key.spki());
    WallTime not_before{}, not_after{};
    MonoTime begun{};
};

Sealed::Sealed(net::Loop& loop, net::WorkerPool& workers, net::Resolver& resolver,
               attestation::QuoteProvider& provider, const telemetry::Log& log, SealedSettings settings)
    : loop_(loop),
      workers_(workers),
      resolver_(resolver),
      provider_(provider),
      log_(log),
      settings_(std::move(settings)) {}

Sealed::~Sealed() {
    *alive_ = false;
}

// ---- The certificate ----

void Sealed::certificate(OnCertificate on_certificate) {
    if (settings_.refusal) return on_certificate(fail(*settings_.refusal));
    const MonoTime now = loop_.now();
    const bool is_useful = certificate_ && now < useless_at_;
    const bool is_due = !certificate_ || now >= renew_at_;
    if (is_due && !making_ && now >= retry_at_) make_certificate();
    if (is_useful) return on_certificate(certificate_);
    if (!making_) return on_certificate(fail(last_failure_));
    if (waiting_for_certificate_.size() >= settings_.certificate_waiting_max)
        return on_certificate(fail("sealed_unavailable", "too many connections wait for the certificate"));
    waiting_for_certificate_.push_back(std::move(on_certificate));
}

void Sealed::make_certificate() {
    const auto making = std::make_shared<Making>();
    making->not_before = std::chrono::floor<std::chrono::seconds>(wall_now()) - backdated;
    making->not_after = making->not_before + backdated + settings_.certificate_life;
    making->begun = loop_.now();
    const attestation::ReportData report_data = attestation::report_data_ratls(
        settings_.identity, making->spki_sha256, making->not_before, making->not_after);
    making_ = quote_on_worker(loop_, workers_, provider_, report_data,
                              [this, making, alive = alive_](const Result<Bytes>& quote) {
                                  if (*alive) made(*making, quote);
                              });
    if (making_) return;
    retry_at_ = loop_.now() + settings_.retry_time;
    last_failure_ = {"sealed_unavailable", "too many quotes are asked for at once"};
}

Result<std::shared_ptr<const SealedCertificate>> Sealed::finish(Making& making, const Result<Bytes>& quote) {
    if (!quote) return fail("sealed_unavailable", "no quote for the certificate: " + quote.error().detail);
    const Bytes der = attestation::issue_ratls_certificate(making.key, settings_.identity, making.not_before,
                                                           making.not_after, *quote);
    // What the backend speaks is what a client gets to speak.
    const std::string_view protocols[] = {attestation::connect_alpn,
                                          settings_.backend.scheme == "h2c" ? h2 : http1};
    auto tls = net::TlsContext::self_made_server(der, making.key, protocols);
    if (!tls) return fail("sealed_unavailable", tls.error().detail);
    return std::make_shared<const SealedCertificate>(SealedCertificate{std::move(*tls), making.spki_sha256});
}

void Sealed::made(Making& making, const Result<Bytes>& quote) {
    making_ = false;
    const auto finished = finish(making, quote);
    if (finished) {
        certificate_ = *finished;
        renew_at_ = making.begun + std::chrono::milliseconds(settings_.certificate_life) / 2;
        useless_at_ = making.begun + std::chrono::milliseconds(settings_.certificate_life) * 3 / 4;
        log_.info("sealed.certificate", {{"valid_until", to_rfc3339(making.not_after)}});
    } else {
        retry_at_ = loop_.now() + settings_.retry_time;
        last_failure_ = finished.error();
        log_.error("sealed.no_certificate", {{"code", last_failure_.code}, {"detail", last_failure_.detail}});
    }
    for (const OnCertificate& waiting : std::exchange(waiting_for_certificate_, {})) waiting(finished);
}

// ---- Fresh quotes ----

void Sealed::quote(const attestation::ReportData& report_data, OnQuote on_quote) {
    if (waiting_for_quote_.size() >= settings_.quotes_waiting_max)
        return on_quote(fail("overloaded", "too many connections wait for a fresh quote"));
    waiting_for_quote_.push_back({report_data, std::move(on_quote)});
    if (!quoting_) quote_next();
}

// One at a time: a host makes no more, and a challenge of the control plane waits for one of these only.
void Sealed::quote_next() {
    while (!quoting_ && !waiting_for_quote_.empty()) {
        const Waiting next = std::move(waiting_for_quote_.front());
        waiting_for_quote_.pop_front();
        quoting_ = quote_on_worker(loop_, workers_, provider_, next.report_data,
                                   [this, on_quote = next.on_quote, alive = alive_](Result<Bytes> quote) {
                                       if (!*alive) return;
                                       quoting_ = false;
                                       on_quote(std::move(quote));
                                       quote_next();
                                   });
        if (!quoting_) next.on_quote(fail("overloaded", "too many quotes are asked for at once"));
    }
}

}  // namespace ee::agent
