#pragma once
// What happens to header fields on their way to an app and back.

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "net/address.h"
#include "registry/agent.h"

namespace ee::proxy {

struct RequestContext {
    std::string_view host;    // As the visitor sent it.
    bool passes_host = true;  // As a field; else it travels apart from them.
    net::IpAddress peer;
    bool peer_trusted = false;         // Believed about what came before it.
    bool is_cloudflares_word = false;  // What CF-Connecting-IP says.
    bool is_tls = false;
    std::string_view version = "1.1";  // Of HTTP, as the visitor spoke it.
    std::string_view request_id;
    std::string_view traceparent;
    bool trace_goes_on = false;  // It is the visitor's.
};

// Builds the fields of a forwarded request: hop-by-hop fields, our own EE-* fields and forged forwarding
// fields go, ours come (X-Forwarded-For, -Proto, -Host, Forwarded (RFC 7239), Via, X-Request-Id,
// traceparent). Reused from request to request, so that nothing is allocated for long.
class RequestFields {
public:
    // False when the message must be refused (Connection names too many options). The answer's views point
    // into `fields` and into this object, until the next call.
    [[nodiscard]] bool build(std::span<const http::Field> fields, const RequestContext& context);
    // Of a request's trailers: without what we say or may not be said there.
    [[nodiscard]] bool build_trailers(std::span<const http::Field> fields);
    std::span<const http::Field> result() const { return result_; }

private:
    void append_to(std::string& list, std::string_view name, std::span<const http::Field> fields, bool keep);

    std::vector<http::Field> end_to_end_;
    std::vector<http::Field> result_;
    std::string forwarded_for_, forwarded_, via_, peer_;
};

// Where visitors see an answer: apps share the control listener's origin under /v1/proxy/, so there they must
// not be able to act on it.
enum class Origin { app, control };

// Whose answer it is. Borrowed until the next call.
struct AnswerContext {
    Origin origin = Origin::app;
    std::string_view request_id{};
    std::string_view app{};
    const registry::ShownVerdict* verdict = nullptr;  // Null: nothing is said of it.
    std::string_view require_met{};                   // Empty: nothing was asked for.
};

// Builds the fields of the answer to the visitor: those of ours that the agent forged go, and what is known
// of the agent comes (EE-App, EE-Agent, EE-Attested-At, EE-TCB-Status, EE-Attestation, EE-Require-Met). False
// when the agent's answer must be refused.
class AnswerFields {
public:
    [[nodiscard]] bool build(std::span<const http::Field> fields, const AnswerContext& context);
    // Of an answer's trailers.
    [[nodiscard]] bool build_trailers(std::span<const http::Field> fields, Origin origin);
    std::span<const http::Field> result() const { return result_; }

private:
    std::vector<http::Field> result_;
};

}  // namespace ee::proxy
