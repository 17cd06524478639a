#include "proxy/header_rules.h"

#include <algorithm>

#include "http/fields.h"

namespace ee::proxy {
namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    for (const std::string_view other : names)
        if (http::iequals(name, other)) return true;
    return false;
}

// Written anew by us, meaningful only between the visitor and us, or an address that backends believe.
bool is_ours_in_requests(std::string_view name) {
    if (name.empty()) return true;
    switch (name[0] | 0x20) {
        case 'c': return is_one_of(name, {"content-length", "cf-connecting-ip"});
        case 'e':
            return http::iequals(name, "expect") ||
                   (http::istarts_with(name, "ee-") && !http::iequals(name, "ee-require"));
        case 'f': return http::iequals(name, "forwarded");
        case 't': return http::iequals(name, "traceparent");
        case 'v': return http::iequals(name, "via");
        case 'x':
            return is_one_of(name, {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
                                    "x-request-id", "x-ee-app"});
        default: return false;
    }
}

// A backend behind CGI or WSGI cannot tell '_' from '-' (RFC 3875 section 4.1.18).
bool reads_as_ours(std::string_view name) {
    if (name.find('_') == std::string_view::npos) return is_ours_in_requests(name);
    std::string dashed(name);
    std::ranges::replace(dashed, '_', '-');
    return http::istarts_with(dashed, "ee-") || is_ours_in_requests(dashed);
}

// What a request's trailers must not say (RFC 9110 section 6.5.1): where it goes, who asks, what its body is,
// whether it is wanted. A backend that merges trailers into the head would act on it.
bool is_never_a_trailer(std::string_view name) {
    return http::istarts_with(name, "ee-") || http::istarts_with(name, "if-") ||
           is_one_of(name,
                     {"host", "te", "trailer", "authorization", "cookie", "content-type", "content-encoding",
                      "content-range", "cache-control", "pragma", "max-forwards", "range"});
}

// On the control listener's origin: what a browser would keep for all of it, beyond this answer.
bool is_dropped_from_answers(std::string_view name, Origin origin) {
    if (http::istarts_with(name, "ee-") || is_one_of(name, {"content-length", "x-request-id"})) return true;
    return origin == Origin::control &&
           is_one_of(name, {"set-cookie", "service-worker-allowed", "clear-site-data", "alt-svc",
                            "strict-transport-security", "content-security-policy", "nel", "report-to"});
}

}  // namespace

// Appends every value of the fields called `name` to a comma-separated list.
void RequestFields::append_to(std::string& list, std::string_view name, std::span<const http::Field> fields,
                              bool keep) {
    list.clear();
    if (!keep) return;
    for (const http::Field& field : fields) {
        if (!http::iequals(field.name, name) || field.value.empty()) continue;
        list.append(field.value);
        list.append(", ");
    }
}

bool RequestFields::build(std::span<const http::Field> fields, const RequestContext& context) {
    if (!http::copy_end_to_end(fields, end_to_end_)) return false;
    result_.clear();
    std::string_view proto = context.is_tls ? "https" : "http";
    std::string_view host = context.host;
    for (const http::Field& field : end_to_end_) {
        if (!context.passes_host && http::iequals(field.name, "host")) continue;
        // Of a trace that is not gone on with nothing is passed on (W3C Trace Context, section 3.3).
        if (!context.trace_goes_on && http::iequals(field.name, "tracestate")) continue;
        if (!reads_as_ours(field.name) ||
            (context.is_cloudflares_word && http::iequals(field.name, "cf-connecting-ip"))) {
            result_.push_back({field.name, field.value});
        } else if (context.peer_trusted) {
            if (http::iequals(field.name, "x-forwarded-proto")) proto = field.value;
            if (http::iequals(field.name, "x-forwarded-host")) host = field.value;
        }
    }
    peer_ = context.peer.to_string();
    append_to(forwarded_for_, "x-forwarded-for", end_to_end_, context.peer_trusted);
    forwarded_for_.append(peer_);
    append_to(forwarded_, "forwarded", end_to_end_, context.peer_trusted);
    forwarded_.append("for=").append(context.peer.is_v4() ? peer_ : "\"[" + peer_ + "]\"");
    forwarded_.append(";proto=").append(context.is_tls ? "https" : "http");
    // A quoted string needs escapes only for what a valid Host cannot contain.
    forwarded_.append(";host=\"").append(context.host).append("\"");
    append_to(via_, "via", end_to_end_, true);
    via_.append(context.version).append(" easyenclave");
    result_.push_back({"X-Forwarded-For", forwarded_for_});
    result_.push_back({"X-Forwarded-Proto", proto});
    result_.push_back({"X-Forwarded-Host", host});
    result_.push_back({"Forwarded", forwarded_});
    result_.push_back({"Via", via_});
    result_.push_back({"X-Request-Id", context.request_id});
    result_.push_back({"traceparent", context.traceparent});
    return true;
}

bool RequestFields::build_trailers(std::span<const http::Field> fields) {
    if (!http::copy_end_to_end(fields, result_)) return false;
    std::erase_if(result_, [](const http::Field& field) {
        return reads_as_ours(field.name) || is_never_a_trailer(field.name);
    });
    return true;
}

bool AnswerFields::build(std::span<const http::Field> fields, const AnswerContext& context) {
    if (!http::copy_end_to_end(fields, result_)) return false;
    std::erase_if(result_, [origin = context.origin](const http::Field& field) {
        return is_dropped_from_answers(field.name, origin);
    });
    result_.push_back({"X-Request-Id", context.request_id});
    if (const registry::ShownVerdict* verdict = context.verdict) {
        result_.push_back({"EE-App", context.app});
        result_.push_back({"EE-Agent", verdict->agent});
        result_.push_back({"EE-Attested-At", verdict->attested_at});
        result_.push_back({"EE-TCB-Status", verdict->tcb_status});
        result_.push_back({"EE-Attestation", verdict->attestation});
    }
    if (!context.require_met.empty()) result_.push_back({"EE-Require-Met", context.require_met});
    if (context.origin == Origin::control) result_.push_back({"Content-Security-Policy", "sandbox"});
    return true;
}

bool AnswerFields::build_trailers(std::span<const http::Field> fields, Origin origin) {
    if (!http::copy_end_to_end(fields, result_)) return false;
    std::erase_if(result_,
                  [origin](const http::Field& field) { return is_dropped_from_answers(field.name, origin); });
    return true;
}

}  // namespace ee::proxy
