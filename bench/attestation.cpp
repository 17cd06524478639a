// How long verifying a quote takes, beside the signatures it cannot do without; bench/run.py starts it.
//
//   attestation_bench [SECONDS [QUOTE COLLATERAL UNIX-TIME]]
//
// Without a quote a simulated platform makes one. Prints one line of JSON, in microseconds of CPU time.
// Cold is from bytes to verdict, collateral file included, with a new verifier. Warm is a quote whose chain,
// QE report and collateral the verifier knows.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "attestation/quote_verifier.h"
#include "attestation/simulated_platform.h"
#include "base/check.h"
#include "crypto/certificate.h"
#include "crypto/openssl.h"

using namespace ee;
using namespace ee::attestation;

namespace {

constexpr int rounds = 15;

// One quote to verify: what came from outside, as bytes.
struct Case {
    Bytes quote;
    std::string collateral;
    TrustAnchors anchors;
    WallTime now{};
};

Case simulated_case() {
    const WallTime now = *from_rfc3339("2026-01-15T10:30:00Z");
    const SimulatedPlatform platform = make_simulated_platform(now);
    return {.quote = make_simulated_quote(platform, {}),
            .collateral = make_simulated_collateral(platform, now),
            .anchors = TrustAnchors::with_simulated_root(platform.root_certificate).value(),
            .now = now};
}

Case case_of_files(const char* quote, const char* collateral, const char* time) {
    return {.quote = to_bytes(as_bytes(read_whole_file(quote, 64 * 1024).value())),
            .collateral = read_whole_file(collateral, collateral_file_size_max).value(),
            .anchors = {},
            .now = WallTime(std::chrono::seconds(std::atoll(time)))};
}

// ---- The floor: OpenSSL's verification of each signature, keys built and signatures decoded before ----

struct Signed {
    crypto::P256PublicKey key;
    Bytes message;
    Bytes signature;  // DER
};

Bytes der_of(ByteSpan raw) {
    crypto::EcdsaSignaturePtr pair(ECDSA_SIG_new());
    EE_CHECK(ECDSA_SIG_set0(pair.get(), BN_bin2bn(raw.data(), 32, nullptr),
                            BN_bin2bn(raw.data() + 32, 32, nullptr)) == 1);
    Bytes out(static_cast<std::size_t>(i2d_ECDSA_SIG(pair.get(), nullptr)));
    unsigned char* end = out.data();
    i2d_ECDSA_SIG(pair.get(), &end);
    return out;
}

ByteArray<64> point_of(const crypto::Certificate& certificate) {
    return certificate.p256_key().value().point();
}

Signed signed_by(const ByteArray<64>& point, ByteSpan message, ByteSpan raw) {
    return {crypto::P256PublicKey::from_point(point).value(), to_bytes(message), der_of(raw)};
}

// A certificate or CRL: SEQUENCE { signed part, algorithm, BIT STRING of the signature }.
Signed signed_der(const crypto::Certificate& issuer, ByteSpan der) {
    const unsigned char* at = der.data();
    long size = 0;
    int tag = 0, kind = 0;
    ASN1_get_object(&at, &size, &tag, &kind, static_cast<long>(der.size()));
    const unsigned char* begin = at;
    ASN1_get_object(&at, &size, &tag, &kind, static_cast<long>(der.size()));
    const Bytes message(begin, at + size);
    at += size;
    ASN1_get_object(&at, &size, &tag, &kind, static_cast<long>(der.size()));
    at += size;
    ASN1_get_object(&at, &size, &tag, &kind, static_cast<long>(der.size()));
    return {crypto::P256PublicKey::from_point(point_of(issuer)).value(), message, Bytes(at + 1, at + size)};
}

// Nine; the first two are those of the quote alone: its body, and the QE report.
std::vector<Signed> signatures_of(const Case& given) {
    const Quote quote = parse_quote(given.quote).value();
    const Collateral collateral = parse_collateral(given.collateral).value();
    const auto chain = crypto::parse_pem_chain(quote.pck_chain).value();
    const auto signers = crypto::parse_pem_chain(collateral.tcb_info_issuer_chain).value();
    std::vector<Signed> out;
    out.push_back(signed_by(quote.attestation_key, quote.signed_message, quote.signature));
    out.push_back(signed_by(point_of(chain[0]), quote.qe_report_bytes, quote.qe_report_signature));
    out.push_back(signed_der(chain[1], chain[0].der()));
    out.push_back(signed_der(chain[2], chain[1].der()));
    out.push_back(signed_der(chain[2], collateral.root_ca_crl));
    out.push_back(signed_der(chain[1], collateral.pck_crl));
    out.push_back(signed_der(chain[2], signers[0].der()));
    out.push_back(
        signed_by(point_of(signers[0]), as_bytes(collateral.tcb_info), collateral.tcb_info_signature));
    out.push_back(
        signed_by(point_of(signers[0]), as_bytes(collateral.qe_identity), collateral.qe_identity_signature));
    return out;
}

void verify(const Signed& item, EVP_MD_CTX* context) {
    EE_CHECK(EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, item.key.get()) == 1);
    EE_CHECK(EVP_DigestVerify(context, item.signature.data(), item.signature.size(), item.message.data(),
                              item.message.size()) == 1);
    EVP_MD_CTX_reset(context);
}

// ---- Measuring ----

// Of this thread: what else runs on the core does not count.
double cpu_seconds() {
    timespec time{};
    EE_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double microseconds_each(const std::function<void()>& work, double seconds) {
    int runs = 0;
    const double begin = cpu_seconds();
    while (cpu_seconds() - begin < seconds) {
        for (int i = 0; i < 8; ++i, ++runs) work();
    }
    return (cpu_seconds() - begin) / runs * 1e6;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void verify_cold(const Case& given) {
    FixedCollateral source(parse_collateral(given.collateral).value());
    VerifyOptions options;
    options.collateral = &source;
    const auto verified = QuoteVerifier(given.anchors).verify(given.quote, options, given.now);
    EE_CHECK(verified.tcb_evaluated());
}

}  // namespace

int main(int count, char** arguments) {
    const double seconds = count > 1 ? std::atof(arguments[1]) : 3;
    const Case given = count > 4 ? case_of_files(arguments[2], arguments[3], arguments[4]) : simulated_case();
    const std::vector<Signed> signatures = signatures_of(given);
    const crypto::MdCtxPtr context(EVP_MD_CTX_new());
    const auto verify_first = [&](std::size_t how_many) {
        for (std::size_t i = 0; i < how_many; ++i) verify(signatures[i], context.get());
    };
    FixedCollateral source(parse_collateral(given.collateral).value());
    VerifyOptions options;
    options.collateral = &source;
    const QuoteVerifier warm(given.anchors);
    const auto verify_warm = [&] { EE_CHECK(warm.verify(given.quote, options, given.now).tcb_evaluated()); };

    // Each round measures all four in turn: what disturbs the machine disturbs all.
    std::vector<double> floors_warm, warms, floors_cold, colds, ratios_warm, ratios_cold;
    const double each = seconds / rounds / 4;
    for (int round = 0; round < rounds; ++round) {
        floors_warm.push_back(microseconds_each([&] { verify_first(1); }, each));
        warms.push_back(microseconds_each(verify_warm, each));
        floors_cold.push_back(microseconds_each([&] { verify_first(signatures.size()); }, each));
        colds.push_back(microseconds_each([&] { verify_cold(given); }, each));
        ratios_warm.push_back(warms.back() / floors_warm.back());
        ratios_cold.push_back(colds.back() / floors_cold.back());
    }
    fmt::print(
        "{{\"signatures_warm\":1,\"floor_warm_us\":{:.2f},\"warm_us\":{:.2f},\"ratio_warm\":{:.4f},"
        "\"signatures_cold\":{},\"floor_cold_us\":{:.2f},\"cold_us\":{:.2f},\"ratio_cold\":{:.4f}}}\n",
        median(floors_warm), median(warms), median(ratios_warm), signatures.size(), median(floors_cold),
        median(colds), median(ratios_cold));
}
