#include "events/webhook_message.h"

#include <fmt/format.h>

#include "base/base64.h"
#include "base/json_writer.h"
#include "crypto/digest.h"
#include "events/sse.h"

namespace ee::events {
namespace {

constexpr std::string_view secret_prefix = "whsec_";
constexpr std::size_t key_bytes_min = 24, key_bytes_max = 64;

std::string body_of(std::string_view type, WallTime at, std::string_view data) {
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("type", type).field("timestamp", to_rfc3339_millis(at));
    json.key("data").raw(data).end_object();
    return body;
}

}  // namespace

WebhookMessage webhook_message(const Event& event, std::string_view log_id) {
    std::string data;
    append_json(data, event);
    return {.id = fmt::format("evt_{}_{}", log_id, event.seq), .body = body_of(event.kind, event.at, data)};
}

WebhookMessage webhook_lost(std::uint64_t after, std::uint64_t oldest, WallTime at, std::string_view log_id) {
    std::string data;
    JsonWriter(data).begin_object().field("after", after).field("oldest", oldest).end_object();
    return {.id = fmt::format("evt_{}_lost_{}", log_id, oldest), .body = body_of(lost_kind, at, data)};
}

Result<WebhookKeys> WebhookKeys::parse(const std::vector<Secret>& secrets) {
    WebhookKeys out;
    for (const Secret& secret : secrets) {
        std::string_view text = secret.reveal();
        const bool has_prefix = text.starts_with(secret_prefix);
        if (has_prefix) text.remove_prefix(secret_prefix.size());
        std::string key;
        if (!has_prefix || !append_from_base64(key, text) || key.size() < key_bytes_min ||
            key.size() > key_bytes_max)
            return fail("invalid_secret", fmt::format("a secret must be {} and the base64 of {} to {} bytes",
                                                      secret_prefix, key_bytes_min, key_bytes_max));
        out.keys_.emplace_back(std::move(key));
    }
    return out;
}

std::string WebhookKeys::sign(const WebhookMessage& message, std::int64_t timestamp_s) const {
    const std::string content = fmt::format("{}.{}.{}", message.id, timestamp_s, message.body);
    std::string out;
    for (const Secret& key : keys_) {
        const crypto::Sha256 code = crypto::hmac_sha256(as_bytes(key.reveal()), as_bytes(content));
        out.append(out.empty() ? "v1," : " v1,").append(to_base64(code));
    }
    return out;
}

}  // namespace ee::events
