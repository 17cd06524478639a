#pragma once
// An event as a webhook (Standard Webhooks 1.0.0): its body, its id, and what proves who sent it.

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "events/event.h"

namespace ee::events {

struct WebhookMessage {
    std::string id;    // The same however often it is sent; no '.' in it.
    std::string body;  // {"type":...,"timestamp":...,"data":{...}}
};
// `log_id` tells one control plane's numbers from another's.
WebhookMessage webhook_message(const Event& event, std::string_view log_id);
// In place of events that are not kept any more; `at`: now.
WebhookMessage webhook_lost(std::uint64_t after, std::uint64_t oldest, WallTime at, std::string_view log_id);

// The keys of EE_WEBHOOK_SECRET: the newest first, all of them sign.
class WebhookKeys {
public:
    // Each is "whsec_" and base64 of 24 to 64 bytes: `invalid_secret`, which does not repeat it.
    static Result<WebhookKeys> parse(const std::vector<Secret>& secrets);

    // The value of `webhook-signature`: of each key "v1," and base64 of HMAC-SHA256 over
    // `id.timestamp.body`.
    std::string sign(const WebhookMessage& message, std::int64_t timestamp_s) const;

private:
    std::vector<Secret> keys_;  // Decoded.
};

}  // namespace ee::events
