#include "attestation/remote/pcs_client.h"

#include <span>

#include <fmt/format.h>

#include "attestation/remote/collateral_terms.h"
#include "attestation/remote/pcs_answers.h"
#include "base/check.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

// Around the signed object: its key, the signature and its key.
constexpr std::size_t envelope_bytes_max = 4096;
// The API's name is the newer one; version 3 and some caching services have the other.
constexpr std::string_view tcb_info_chain_fields[] = {"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"};
constexpr std::string_view qe_identity_chain_fields[] = {"SGX-Enclave-Identity-Issuer-Chain"};
constexpr std::string_view pck_crl_chain_fields[] = {"SGX-PCK-CRL-Issuer-Chain"};

tl::unexpected<Error> malformed(std::string_view part, const Error& why) {
    return fail(fmt::format("collateral_malformed:{}", part), why.detail);
}

Result<void> take_chain(const http::ClientAnswer& answer, std::string_view part,
                        std::span<const std::string_view> names, std::string& out) {
    for (const std::string_view name : names) {
        const auto field = answer.field(name);
        if (!field) continue;
        auto chain = decode_issuer_chain(*field);
        if (!chain) return malformed(part, chain.error());
        out = std::move(*chain);
        return {};
    }
    return fail(fmt::format("collateral_malformed:{}", part),
                fmt::format("the answer has no field {}", names.front()));
}

Result<void> take_signed(const http::ClientAnswer& answer, std::string_view part, std::string_view key,
                         std::size_t size_max, std::string& text, Bytes& signature) {
    auto cut = cut_signed_object(answer.body, key, size_max);
    if (!cut) return malformed(part, cut.error());
    text = std::move(cut->text);
    signature = std::move(cut->signature);
    return {};
}

Result<void> judge_status(const http::ClientAnswer& answer) {
    if (answer.status == 200) return {};
    if (answer.status >= 300 && answer.status < 400)
        return fail("collateral_unavailable",
                    fmt::format("answered {}, a redirect, which is not followed: EE_PCCS_URL has to name the "
                                "service itself",
                                answer.status));
    return fail("collateral_unavailable",
                fmt::format("answered {}{}", answer.status,
                            answer.status == 404 ? ": it knows no such platform" : ""));
}

}  // namespace

Result<net::Url> parse_pcs_url(std::string_view text) {
    auto url = net::parse_url(text);
    if (!url) return url;
    if (url->scheme != "http" && url->scheme != "https")
        return fail("invalid_url", fmt::format("{} is not http or https", url->scheme));
    if (url->path.find('?') != std::string::npos)
        return fail("invalid_url", "the address of a collateral service has no query");
    while (url->path.ends_with('/')) url->path.pop_back();
    constexpr std::string_view suffix = "/sgx/certification/v4";
    if (url->path.ends_with(suffix)) url->path.resize(url->path.size() - suffix.size());
    return url;
}

// One fetch on its way.
struct PcsClient::Round {
    CollateralKey key;
    OnDone on_done;
    bool early = true;
    std::size_t open = 0;
    Collateral collateral{};
    std::optional<Error> failure{};  // the first one
};

PcsClient::PcsClient(net::Url service, std::chrono::milliseconds timeout, http::Fetch fetch)
    : service_(std::move(service)),
      is_intel_(service_.host == net::parse_url(intel_pcs_url)->host),
      timeout_(timeout),
      fetch_(std::move(fetch)) {}

net::Url PcsClient::url(std::string_view path) const {
    net::Url out = service_;
    out.path += path;
    return out;
}

void PcsClient::fetch(const CollateralKey& key, OnDone on_done) const {
    auto round = std::make_shared<Round>(Round{.key = key, .on_done = std::move(on_done)});
    ask_documents(round);
    ask(round, url(fmt::format("/sgx/certification/v4/pckcrl?ca={}&encoding=der", to_string(key.ca))),
        2 * crl_size_max + envelope_bytes_max, [round](const http::ClientAnswer& answer) -> Result<void> {
            auto crl = decode_crl(answer.body);
            if (!crl) return malformed("pck_crl", crl.error());
            round->collateral.pck_crl = std::move(*crl);
            return take_chain(answer, "pck_crl", pck_crl_chain_fields,
                              round->collateral.pck_crl_issuer_chain);
        });
    ask(round,
        is_intel_ ? net::parse_url(intel_root_crl_url).value() : url("/sgx/certification/v4/rootcacrl"),
        2 * crl_size_max + envelope_bytes_max, [round](const http::ClientAnswer& answer) -> Result<void> {
            auto crl = decode_crl(answer.body);
            if (!crl) return malformed("root_ca_crl", crl.error());
            round->collateral.root_ca_crl = std::move(*crl);
            return {};
        });
}

void PcsClient::ask_documents(const std::shared_ptr<Round>& round) const {
    const std::string_view update = round->early ? "update=early" : "update=standard";
    ask(round, url(fmt::format("/tdx/certification/v4/tcb?fmspc={}&{}", to_hex(round->key.fmspc), update)),
        tcb_info_size_max + envelope_bytes_max, [round](const http::ClientAnswer& answer) -> Result<void> {
            Collateral& out = round->collateral;
            if (auto taken = take_signed(answer, "tcb_info", "tcbInfo", tcb_info_size_max, out.tcb_info,
                                         out.tcb_info_signature);
                !taken)
                return taken;
            return take_chain(answer, "tcb_info", tcb_info_chain_fields, out.tcb_info_issuer_chain);
        });
    ask(round, url(fmt::format("/tdx/certification/v4/qe/identity?{}", update)),
        qe_identity_size_max + envelope_bytes_max, [round](const http::ClientAnswer& answer) -> Result<void> {
            Collateral& out = round->collateral;
            if (auto taken = take_signed(answer, "qe_identity", "enclaveIdentity", qe_identity_size_max,
                                         out.qe_identity, out.qe_identity_signature);
                !taken)
                return taken;
            return take_chain(answer, "qe_identity", qe_identity_chain_fields, out.qe_identity_issuer_chain);
        });
}

void PcsClient::ask(const std::shared_ptr<Round>& round, net::Url url, std::size_t body_bytes_max,
                    std::function<Result<void>(const http::ClientAnswer&)> take) const {
    ++round->open;
    // Without the service's address: agents are told this, too.
    const std::string asked = url.host == service_.host ? url.path.substr(service_.path.size())
                                                        : url.scheme + "://" + url.authority() + url.path;
    fetch_({.url = std::move(url), .fields = {}, .body_bytes_max = body_bytes_max, .timeout = timeout_},
           [this, round, asked, take = std::move(take)](const Result<http::ClientAnswer>& answer) {
               Result<void> taken =
                   answer ? judge_status(*answer)
                          : Result<void>(ee::fail("collateral_service_failed", answer.error().detail));
               if (taken) taken = take(*answer);
               if (!taken && !round->failure) {
                   round->failure = taken.error();
                   if (answer) round->failure->detail = asked + ": " + round->failure->detail;
               }
               if (--round->open == 0) finish(round);
           });
}

void PcsClient::finish(const std::shared_ptr<Round>& round) const {
    if (round->failure) return round->on_done(ee::fail(std::move(*round->failure)));
    const auto terms = read_collateral_terms(round->collateral);
    if (!terms) return round->on_done(ee::fail(terms.error()));
    if (terms->tcb_info_evaluation == terms->qe_identity_evaluation)
        return round->on_done(std::move(round->collateral));
    if (!round->early)
        return round->on_done(
            ee::fail("collateral_mismatch:tcb_evaluation",
                     fmt::format("TCB info is of evaluation {}, QE identity of {}",
                                 terms->tcb_info_evaluation, terms->qe_identity_evaluation)));
    round->early = false;
    ask_documents(round);
}

}  // namespace ee::attestation
