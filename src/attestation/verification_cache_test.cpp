// What is kept between verifications answers for nothing else: another certificate, other collateral, another
// time, after a revocation, under another anchor.
#include "attestation/verification_cache.h"

#include <thread>

#include <gtest/gtest.h>

#include "attestation/quote_verifier.h"
#include "attestation/simulated_platform.h"
#include "base/hex.h"
#include "crypto/issuing.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using enum SimulatedFault;

const WallTime at = *from_rfc3339("2026-01-15T10:30:00Z");

const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(at);
    return made;
}

TrustAnchors own_root() {
    return *TrustAnchors::with_simulated_root(platform().root_certificate);
}

Collateral collateral_with(const SimulatedFaults& faults = {}, WallTime issued_at = at) {
    return *parse_collateral(make_simulated_collateral(platform(), issued_at, faults));
}

Bytes quote_with(const SimulatedFaults& faults = {}) {
    SimulatedQuoteRequest request;
    request.faults = faults;
    return make_simulated_quote(platform(), request);
}

std::string verify(const QuoteVerifier& verifier, const Bytes& quote, const Collateral& collateral,
                   WallTime now = at) {
    FixedCollateral source(collateral);
    VerifyOptions options;
    options.collateral = &source;
    const auto verified = verifier.verify(quote, options, now);
    return verified.refusal ? verified.refusal->code : "ok";
}

// A verifier that has verified the good quote with the good collateral.
struct WarmVerifier : testing::Test {
    QuoteVerifier verifier{own_root(), {.chains_max = 3, .collateral_max = 3}};
    Bytes quote = quote_with();
    Collateral collateral = collateral_with();

    WarmVerifier() {
        EXPECT_EQ(verify(verifier, quote, collateral), "ok");
        EXPECT_EQ(verifier.cache().chains(), 1u);
        EXPECT_EQ(verifier.cache().collateral(), 1u);
    }
};

TEST_F(WarmVerifier, VerifiesAgainWithWhatItKept) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(verify(verifier, quote_with(), collateral), "ok");
    EXPECT_EQ(verifier.cache().chains(), 1u);
    EXPECT_EQ(verifier.cache().collateral(), 1u);
}

// The whole table of faults, against a warm verifier: the same refusals as from a cold one, and again.
TEST_F(WarmVerifier, RefusesEveryFaultAsAColdOneDoes) {
    for (const SimulatedFaultRow& row : simulated_faults()) {
        SCOPED_TRACE(row.name);
        const Bytes other_quote = row.in_collateral ? quote : quote_with({row.fault});
        const Collateral other = row.in_collateral ? collateral_with({row.fault}) : collateral;
        for (int i = 0; i < 2; ++i) {
            EXPECT_EQ(verify(verifier, other_quote, other), row.refusal);
            EXPECT_EQ(verify(verifier, quote, collateral), "ok");
        }
    }
}

TEST_F(WarmVerifier, JudgesAtEveryTimeAnew) {
    const WallTime end = at + simulated_collateral_life;
    EXPECT_EQ(verify(verifier, quote, collateral, end), "ok");
    EXPECT_EQ(verify(verifier, quote, collateral, end + 1s), "collateral_expired:root_crl");
    EXPECT_EQ(verify(verifier, quote, collateral, at - 1s), "collateral_not_yet_valid:root_crl");
    EXPECT_EQ(verify(verifier, quote, collateral, at + std::chrono::days(8 * 365)), "certificate_expired");
    EXPECT_EQ(verify(verifier, quote, collateral, at), "ok");
}

TEST_F(WarmVerifier, RefusesAKnownChainOnceItIsRevoked) {
    // The same platform later, with a certificate whose number the lists of then bear.
    const Bytes revoked = quote_with({leaf_revoked});
    Collateral lenient = collateral;
    lenient.pck_crl =
        crypto::issue_crl({.this_update = at, .next_update = at + 24h, .number = 1, .revoked = {}},
                          {platform().platform_ca_key,
                           {{"CN", "Intel SGX PCK Platform CA"},
                            {"O", "Intel Corporation"},
                            {"L", "Santa Clara"},
                            {"ST", "CA"},
                            {"C", "US"}}});
    EXPECT_EQ(verify(verifier, revoked, lenient), "ok");
    EXPECT_EQ(verifier.cache().chains(), 2u);
    EXPECT_EQ(verify(verifier, revoked, collateral), "certificate_revoked");
    EXPECT_EQ(verify(verifier, revoked, lenient), "ok");
}

TEST_F(WarmVerifier, TakesNoKnownChainForAReportItDidNotSign) {
    EXPECT_EQ(verify(verifier, quote_with({qe_report_signature}), collateral), "qe_report_signature_invalid");
    // Another platform's certificate under the same root, then back: each vouches for its own.
    SimulatedPlatform other = make_simulated_platform(at);
    const Bytes others = make_simulated_quote(other, {});
    const std::string_view mine = as_text(quote), theirs = as_text(others);
    const std::string_view begin = "-----BEGIN";
    Bytes mixed = to_bytes(as_bytes(mine.substr(0, mine.find(begin))));
    const Bytes chain = to_bytes(as_bytes(theirs.substr(theirs.find(begin))));
    mixed.insert(mixed.end(), chain.begin(), chain.end());
    EXPECT_NE(verify(verifier, mixed, collateral), "ok");
}

// A report that is known is known with its signature: neither vouches for another one.
TEST_F(WarmVerifier, TakesNoOtherQeReportForTheOneItKnows) {
    const Quote parsed = *parse_quote(quote);
    const auto offset_of = [&](ByteSpan part) { return as_text(quote).find(as_text(part)); };
    const struct {
        std::size_t begin, size;
    } parts[] = {{offset_of(parsed.qe_report_bytes), 320},  // its report data are bound to the key: check E
                 {offset_of(parsed.qe_report_signature), 64}};
    for (const auto& part : parts) {
        for (std::size_t i = 0; i < part.size; ++i) {
            Bytes changed = quote;
            changed[part.begin + i] ^= 1;
            ASSERT_EQ(verify(verifier, changed, collateral), "qe_report_signature_invalid") << i;
        }
    }
    EXPECT_EQ(verify(verifier, quote, collateral), "ok");
}

// Its report data say with what the QE made its key: another one, as after the QE was restarted.
TEST_F(WarmVerifier, VerifiesAnotherQeReportOfAKnownChain) {
    SimulatedQuoteRequest request;
    request.qe_auth_data = Bytes(32, 0x5a);
    const Bytes other = make_simulated_quote(platform(), request);
    for (const Bytes& one : {other, quote, other, other}) EXPECT_EQ(verify(verifier, one, collateral), "ok");
    EXPECT_EQ(verifier.cache().chains(), 1u);
}

TEST_F(WarmVerifier, KnowsTheLastQeReportOfAChainThatItKnows) {
    VerificationCache& cache = verifier.cache();
    const Quote parsed = *parse_quote(quote);
    const crypto::Sha256 chain = crypto::sha256(as_bytes(parsed.pck_chain)),
                         own = crypto::sha256({parsed.qe_report_bytes, parsed.qe_report_signature}),
                         other = crypto::sha256(as_bytes("other"));
    EXPECT_TRUE(cache.knows_qe_report(chain, own));
    EXPECT_FALSE(cache.knows_qe_report(chain, other));
    cache.keep_qe_report(other, own);
    EXPECT_FALSE(cache.knows_qe_report(other, own)) << "nobody has verified that chain";
    cache.keep_qe_report(chain, other);
    EXPECT_TRUE(cache.knows_qe_report(chain, other));
    EXPECT_FALSE(cache.knows_qe_report(chain, own)) << "one a chain";
}

// Every part, byte by byte: changed collateral is other collateral.
TEST_F(WarmVerifier, TakesNoOtherCollateralForTheOneItKnows) {
    struct Row {
        Bytes Collateral::* bytes;
        std::string Collateral::* text;
        const char* code;
    };
    const Row rows[] = {
        {&Collateral::root_ca_crl, nullptr, "collateral_signature_invalid:root_crl"},
        {&Collateral::pck_crl, nullptr, "collateral_signature_invalid:pck_crl"},
        {&Collateral::tcb_info_signature, nullptr, "collateral_signature_invalid:tcb_info"},
        {&Collateral::qe_identity_signature, nullptr, "collateral_signature_invalid:qe_identity"},
        {nullptr, &Collateral::tcb_info, "collateral_signature_invalid:tcb_info"},
        {nullptr, &Collateral::qe_identity, "collateral_signature_invalid:qe_identity"},
        {nullptr, &Collateral::tcb_info_issuer_chain, "collateral_signature_invalid:tcb_info"},
        {nullptr, &Collateral::qe_identity_issuer_chain, "collateral_signature_invalid:qe_identity"},
    };
    for (const Row& row : rows) {
        Collateral changed = collateral;
        if (row.bytes != nullptr)
            (changed.*row.bytes).back() ^= 1;
        else
            (changed.*row.text)[(changed.*row.text).size() / 2] ^= 1;
        for (int i = 0; i < 2; ++i) EXPECT_EQ(verify(verifier, quote, changed), row.code);
        EXPECT_EQ(verify(verifier, quote, collateral), "ok");
    }
}

TEST_F(WarmVerifier, KeepsItsOwnCopyOfCollateral) {
    auto shared = std::make_shared<Collateral>(collateral_with());
    struct Source final : CollateralSource {
        explicit Source(std::shared_ptr<const Collateral> given) : collateral(std::move(given)) {}
        Result<std::shared_ptr<const Collateral>> find(const CollateralKey&, WallTime) override {
            return collateral;
        }
        std::shared_ptr<const Collateral> collateral;
    } source(shared);
    VerifyOptions options;
    options.collateral = &source;
    EXPECT_FALSE(verifier.verify(quote, options, at).refusal);
    // The same object at the same address, changed behind the verifier's back.
    shared->tcb_info_signature[0] ^= 1;
    EXPECT_EQ(verifier.verify(quote, options, at).refusal->code, "collateral_signature_invalid:tcb_info");
}

TEST_F(WarmVerifier, KeepsNothingThatWasRefused) {
    const std::size_t chains = verifier.cache().chains(), known = verifier.cache().collateral();
    for (const SimulatedFault fault : {root_crl_signature, tcb_info_signature, tcb_info_version,
                                       qe_identity_id, tcb_signer_signature, pck_crl_missing}) {
        EXPECT_NE(verify(verifier, quote, collateral_with({fault})), "ok");
    }
    for (const SimulatedFault fault : {leaf_signature, root_unknown, leaf_issuer, root_signature})
        EXPECT_NE(verify(verifier, quote_with({fault}), collateral), "ok");
    EXPECT_EQ(verifier.cache().chains(), chains);
    EXPECT_EQ(verifier.cache().collateral(), known);
}

TEST_F(WarmVerifier, IsOfItsOwnAnchors) {
    const QuoteVerifier other((TrustAnchors()));
    EXPECT_EQ(verify(other, quote, collateral), "certificate_chain_invalid");
    EXPECT_EQ(other.cache().chains(), 0u);
}

TEST_F(WarmVerifier, ForgetsWhatWasUsedLeastRecently) {
    // Each platform id makes a chain of its own; each date makes collateral of its own.
    const auto quote_of = [](std::uint8_t id) {
        SimulatedQuoteRequest request;
        request.fields.push_back({find_quote_field("pck_ppid"), Bytes(16, id)});
        return make_simulated_quote(platform(), request);
    };
    for (std::uint8_t i = 0; i < 8; ++i) {
        EXPECT_EQ(verify(verifier, quote_of(i), collateral_with({}, at - std::chrono::hours(i + 1))), "ok");
        EXPECT_LE(verifier.cache().chains(), 3u);
        EXPECT_LE(verifier.cache().collateral(), 3u);
    }
    EXPECT_EQ(verifier.cache().chains(), 3u);
    EXPECT_EQ(verifier.cache().collateral(), 3u);
    EXPECT_EQ(verify(verifier, quote, collateral), "ok") << "forgotten, and verified anew";
    EXPECT_EQ(verifier.cache().chains(), 3u);
}

TEST(VerificationCache, KeepsWhatIsUsedWhenItIsFull) {
    VerificationCache cache({.chains_max = 2, .collateral_max = 1});
    const auto chain_of = [](const Bytes& quote) {
        auto chain = verify_pck_chain(*read_pck_certificates(parse_quote(quote)->pck_chain), own_root());
        return KnownPck{std::move(*chain), fail("certificate_chain_invalid", "")};
    };
    const crypto::Sha256 first{1}, second{2}, third{3};
    cache.keep_pck(first, chain_of(quote_with()));
    cache.keep_pck(second, chain_of(quote_with()));
    EXPECT_TRUE(cache.find_pck(first));
    cache.keep_pck(third, chain_of(quote_with()));
    EXPECT_TRUE(cache.find_pck(first));
    EXPECT_FALSE(cache.find_pck(second));
    EXPECT_TRUE(cache.find_pck(third));
}

TEST(VerificationCache, IsUsedByManyThreadsAtOnce) {
    const QuoteVerifier verifier(own_root(), {.chains_max = 2, .collateral_max = 2});
    std::vector<std::pair<Bytes, Collateral>> work;
    for (std::uint8_t i = 0; i < 4; ++i) {
        SimulatedQuoteRequest request;
        request.fields.push_back({find_quote_field("pck_ppid"), Bytes(16, i)});
        work.emplace_back(make_simulated_quote(platform(), request),
                          collateral_with({}, at - std::chrono::hours(i)));
    }
    const Bytes forged = quote_with({qe_report_signature});
    std::vector<std::thread> threads;
    std::array<int, 4> wrong{};
    for (std::size_t thread = 0; thread < wrong.size(); ++thread) {
        threads.emplace_back([&, thread] {
            for (std::size_t i = 0; i < 40; ++i) {
                const auto& [quote, collateral] = work[(i + thread) % work.size()];
                if (verify(verifier, quote, collateral) != "ok") ++wrong[thread];
                if (verify(verifier, forged, collateral) != "qe_report_signature_invalid") ++wrong[thread];
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong, (std::array<int, 4>{}));
    EXPECT_LE(verifier.cache().chains(), 2u);
}

TEST(VerificationCache, RemembersTheDigestsOfCollateralByTheObject) {
    VerificationCache cache({.chains_max = 1, .collateral_max = 2});
    const auto collateral_of = [](const char* text) {
        Collateral collateral;
        collateral.tcb_info = text;
        return std::make_shared<const Collateral>(std::move(collateral));
    };
    const auto first = collateral_of("a"), same_text = collateral_of("a"), other = collateral_of("b");
    const auto digests = cache.digests_of(first);
    ASSERT_EQ(digests->size(), 1u);
    EXPECT_EQ(digests->at("tcb_info"), to_hex(crypto::sha256(as_bytes("a"))));
    EXPECT_EQ(cache.digests_of(first), digests) << "not hashed again";
    EXPECT_EQ(*cache.digests_of(same_text), *digests);
    EXPECT_NE(*cache.digests_of(other), *digests);
    // Two are remembered; the one used least recently has given way.
    EXPECT_NE(cache.digests_of(first), digests);
    EXPECT_EQ(digests.use_count(), 1);
}

}  // namespace
}  // namespace ee::attestation
