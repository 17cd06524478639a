#include "cli/sealed_verification.h"

#include <fmt/format.h>

#include "attestation/binding.h"
#include "base/big_endian.h"
#include "base/hex.h"
#include "base/json_writer.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

Error about(std::string_view which, const Error& refusal) {
    return {refusal.code, fmt::format("{}: {}", which, refusal.detail)};
}

Result<void> match_name(std::string_view field, std::string_view named, std::string_view wanted) {
    if (named == wanted) return {};
    return fail(fmt::format("certificate_mismatch:{}", field),
                fmt::format("the certificate names \"{}\", wanted is \"{}\"", named, wanted));
}

void write_outcome(JsonWriter& json, const char* name, const QuoteOutcome& outcome) {
    const att::VerifiedQuote& quote = *outcome.quote;
    json.key(name).begin_object().field("tcb_status", to_string(quote.tcb().status));
    json.key("tcb_date");
    quote.tcb().tcb_date ? json.value(to_rfc3339(*quote.tcb().tcb_date)) : json.null();
    json.field("simulated", quote.anchor().simulated)
        .field("mrtd", to_hex(quote.report().mr_td))
        .key("rtmrs")
        .begin_array();
    for (const att::Measurement& rtmr : quote.report().rtmr) json.value(to_hex(rtmr));
    json.end_array().field("report_data", to_hex(quote.report().report_data)).key("checks").begin_array();
    for (const std::string& check : outcome.checks) json.value(check);
    json.end_array().end_object();
}

}  // namespace

Result<SealedVerdict> judge_certificate(ByteSpan der, std::string_view app, const QuoteTerms& terms,
                                        WallTime now) {
    auto certificate = att::read_ratls_certificate(der, now);
    if (!certificate) return fail(about("the certificate", certificate.error()));
    if (!certificate->identity)
        return fail("certificate_mismatch:layout",
                    "the certificate is of deployed agents' layout, which names no app");
    const att::RatlsIdentity& named = *certificate->identity;
    for (const auto& held :
         {match_name("role", named.role, att::agent_role), match_name("app", named.app_name, app),
          match_name("network", named.network, terms.policy->name)})
        if (!held) return fail(held.error());
    if (auto held = att::check_allowlist(*terms.allowlist, named.repo, named.release_tag, now); !held)
        return fail(about("the release that the certificate names", held.error()));
    QuoteOutcome certified = judge_quote(certificate->quote, certificate->report_data, terms, now);
    if (certified.refusal) return fail(about("the certificate's quote", *certified.refusal));
    return SealedVerdict{std::move(*certificate), std::move(certified), {}};
}

Result<void> judge_fresh_quote(ByteSpan quote, const att::ReportData& expected, const QuoteTerms& terms,
                               WallTime now, SealedVerdict& verdict) {
    verdict.fresh = judge_quote(quote, expected, terms, now);
    if (verdict.fresh.refusal) return fail(about("the fresh quote", *verdict.fresh.refusal));
    const att::VerifiedQuote& ours = *verdict.certified.quote;
    const att::VerifiedQuote& fresh = *verdict.fresh.quote;
    if (auto same = att::match_measurements(ours.report(), fresh.report()); !same) return same;
    if (!ours.pck() || !fresh.pck() || ours.pck()->ppid != fresh.pck()->ppid)
        return fail("platform_mismatch", "the certificate's quote and the fresh one are of two platforms");
    return {};
}

Result<SealedVerdict> verify_sealed(SealedConnection& connection, std::string_view app,
                                    const ByteArray<32>& nonce, const QuoteTerms& terms, WallTime now) {
    auto verdict = judge_certificate(connection.certificate(), app, terms, now);
    if (!verdict) return verdict;
    const auto missing = [](const Error& why) {
        return fail("quote_missing", "the other end gave no fresh quote: " + why.detail);
    };
    if (auto sent = connection.send(as_text(nonce)); !sent) return missing(sent.error());
    const auto header = connection.receive(4);
    if (!header) return missing(header.error());
    const std::size_t size = from_big_endian(*header);
    if (size == 0) return missing({"", "its length is 0"});
    if (size > att::quote_size_max)
        return fail("quote_too_large",
                    fmt::format("a fresh quote of {} bytes is announced, at most {} are read", size,
                                att::quote_size_max));
    const auto quote = connection.receive(size);
    if (!quote) return missing(quote.error());
    const att::ReportData expected =
        att::report_data_connect(nonce, connection.exporter(), verdict->certificate.spki_sha256);
    if (auto held = judge_fresh_quote(*quote, expected, terms, now, *verdict); !held)
        return fail(std::move(held.error()));
    return verdict;
}

std::string verdict_json(std::string_view app, const SealedVerdict& verdict) {
    const att::RatlsIdentity& named = *verdict.certificate.identity;
    std::string text;
    JsonWriter json(text);
    json.begin_object()
        .field("result", "ok")
        .field("app", app)
        .field("network", named.network)
        .field("repo", named.repo)
        .field("release_tag", named.release_tag)
        .field("certificate_valid_until", to_rfc3339(verdict.certificate.not_after))
        .field("spki_sha256", to_hex(verdict.certificate.spki_sha256));
    write_outcome(json, "certificate_quote", verdict.certified);
    write_outcome(json, "fresh_quote", verdict.fresh);
    json.end_object();
    return text;
}

}  // namespace ee::cli
