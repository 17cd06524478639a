#include "api/offer_json.h"

#include "ledger/money.h"
#include "router/choice.h"

namespace ee::api {

void append_offer(JsonWriter& json, const registry::Offer& offer) {
    const auto price = [&](std::string_view name, std::optional<std::int64_t> micro_usd) {
        json.field_or_null(name, micro_usd ? to_usd(ledger::Money(*micro_usd)) : "");
    };
    price("price_usd_per_vcpu_hour", offer.price);
    json.field("trust", offer.trust.trust);
    price(
        "effective_price_usd_per_vcpu_hour",
        offer.price ? std::optional(router::effective_price(*offer.price, offer.trust.trust)) : std::nullopt);
}

void append_trust_parts(JsonWriter& json, bool has_node, const registry::Offer& offer) {
    const auto count = [&](std::string_view name, std::uint64_t number) {
        json.field(name, has_node ? std::optional(number) : std::nullopt);
    };
    json.key("trust_parts")
        .begin_object()
        .field("attestation", offer.trust.attestation)
        .field("health", offer.trust.health)
        .field("behaviour", offer.trust.behaviour);
    count("windows_expected", offer.record.windows);
    count("windows_passed", offer.record.windows_passed);
    count("abuse_reports", offer.record.abuse_reports);
    json.end_object();
}

}  // namespace ee::api
