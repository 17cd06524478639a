#pragma once
// What all sealed connections of an agent share: the RA-TLS certificate that its own TLS shows, fresh quotes
// for clients that ask, and where the backend is.

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "attestation/quote_provider.h"
#include "attestation/ratls_certificate.h"
#include "crypto/signing_key.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "net/url.h"
#include "net/worker_pool.h"
#include "telemetry/log.h"

namespace ee::agent {

struct SealedSettings {
    std::optional<Error> refusal{};       // Why there is to be no certificate.
    attestation::RatlsIdentity identity;  // Role "agent".
    net::Url backend;
    std::shared_ptr<const net::TlsContext> backend_tls;  // For https.
    // Of a certificate and its key: at half of it another is made.
    std::chrono::seconds certificate_life = std::chrono::hours(12);
    // After a quote could not be made, before it is tried again for the certificate.
    std::chrono::milliseconds retry_time = std::chrono::seconds(5);
    std::size_t quotes_waiting_max =
        64;  // Visitors that wait for a fresh quote, which are made one at a time.
    std::size_t certificate_waiting_max = 1024;
    std::chrono::milliseconds connect_time = std::chrono::seconds(5);     // To the backend.
    std::chrono::milliseconds handshake_time = std::chrono::seconds(10);  // TLS; then the nonce.
    std::chrono::milliseconds quote_time = std::chrono::seconds(30);
};

// A certificate in use. Its key is nowhere but in here.
struct SealedCertificate {
    std::shared_ptr<const net::TlsContext> tls;
    ByteArray<32> spki_sha256{};
};

// Belongs to the loop's thread. Nothing is made before the first connection asks.
class Sealed {
public:
    Sealed(net::Loop& loop, net::WorkerPool& workers, net::Resolver& resolver,
           attestation::QuoteProvider& provider, const telemetry::Log& log, SealedSettings settings);
    ~Sealed();
    Sealed(const Sealed&) = delete;
    Sealed& operator=(const Sealed&) = delete;

    using OnCertificate = std::function<void(Result<std::shared_ptr<const SealedCertificate>>)>;
    using OnQuote = std::function<void(Result<Bytes>)>;

    // One that is valid for at least a quarter of its life; within the call, or once it has been made.
    // Refusal `sealed_unavailable` says why it cannot be. Both callbacks come once; who asked may be gone by
    // then.
    void certificate(OnCertificate on_certificate);
    // A quote over these bytes. Refusals: the provider's, `overloaded`.
    void quote(const attestation::ReportData& report_data, OnQuote on_quote);

    net::Loop& loop() { return loop_; }
    net::Resolver& resolver() { return resolver_; }
    const telemetry::Log& log() const { return log_; }
    const SealedSettings& settings() const { return settings_; }

private:
    struct Waiting {
        attestation::ReportData report_data;
        OnQuote on_quote;
    };
    struct Making;

    void make_certificate();
    void made(Making& making, const Result<Bytes>& quote);
    Result<std::shared_ptr<const SealedCertificate>> finish(Making& making, const Result<Bytes>& quote);
    void quote_next();

    net::Loop& loop_;
    net::WorkerPool& workers_;
    net::Resolver& resolver_;
    attestation::QuoteProvider& provider_;
    const telemetry::Log& log_;
    const SealedSettings settings_;

    std::shared_ptr<const SealedCertificate> certificate_;
    MonoTime renew_at_{}, useless_at_{};  // Of that one.
    MonoTime retry_at_{};
    Error last_failure_;  // Until retry_at_.
    bool making_ = false;
    std::vector<OnCertificate> waiting_for_certificate_;
    std::deque<Waiting> waiting_for_quote_;
    bool quoting_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // For quotes that come late.
};

}  // namespace ee::agent
