#include "cli/request_command.h"

#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "base/base64.h"
#include "base/printable.h"
#include "cli/answer_reader.h"
#include "cli/control_plane_client.h"
#include "cli/http_call.h"
#include "crypto/digest.h"
#include "http/fields.h"
#include "http/structured_fields.h"
#include "net/url.h"

namespace ee::cli {
namespace {

constexpr std::size_t data_bytes_max = 64 * 1024 * 1024;
// Of an answer that is thrown away, to say why.
constexpr std::size_t refusal_bytes_max = 64 * 1024;
constexpr std::string_view require_field = "EE-Require";
constexpr std::string_view met_field = "EE-Require-Met";

tl::unexpected<Error> usage(std::string detail) {
    return fail("usage", std::move(detail));
}

// What EE-Require-Met has to say: the digest of the requirement in its one spelling (RFC 9651 section 4.1).
Result<std::string> met_by(const std::string& require) {
    const auto dictionary = http::parse_sf_dictionary(require);
    if (!dictionary) return usage("--require: " + dictionary.error().detail);
    if (dictionary->empty()) return usage("--require asks for nothing");
    return ":" + to_base64(crypto::sha256(as_bytes(http::to_string(*dictionary)))) + ":";
}

Result<std::pair<std::string, std::string>> read_header(const std::string& line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) return usage("-H takes \"Name: value\", not \"" + printable(line) + "\"");
    std::string name = line.substr(0, colon);
    std::string value(http::trim_whitespace(std::string_view(line).substr(colon + 1)));
    if (!http::is_token(name) || !http::is_valid_field_value(value))
        return usage("-H \"" + printable(line) + "\" is no header field");
    if (http::iequals(name, require_field))
        return usage("-H EE-Require: use --require, which checks the answer");
    for (const char* own : {"Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Expect"})
        if (http::iequals(name, own))
            return usage(fmt::format("-H {}: eectl sets or leaves out this one", own));
    return std::pair(std::move(name), std::move(value));
}

Result<void> read_fields(const RequestOptions& options, HttpCall& call) {
    for (const std::string& line : options.headers) {
        auto field = read_header(line);
        if (!field) return fail(field.error());
        call.fields.push_back(std::move(*field));
    }
    for (const auto& [name, value] : {std::pair("User-Agent", "eectl"), std::pair("Accept", "*/*")}) {
        const auto is_it = [&](const auto& field) { return http::iequals(field.first, name); };
        if (std::ranges::none_of(call.fields, is_it)) call.fields.emplace_back(name, value);
    }
    if (!options.require.empty()) call.fields.emplace_back(require_field, options.require);
    return {};
}

// Where it goes: below the control plane's /v1/proxy/, or to the app's own host.
Result<void> read_target(const RequestOptions& options, const Context& context, HttpCall& call) {
    const bool is_plain = std::ranges::all_of(options.path, [](char c) { return c > ' ' && c < '\x7f'; });
    if (!options.path.starts_with('/') || !is_plain || options.path.find('#') != std::string::npos)
        return usage("PATH begins with \"/\", and what is not printable ASCII is written as %XX");
    if (options.app_host.empty()) {
        auto url = control_plane_url(options.url, context);
        if (!url) return fail(url.error());
        call.url = std::move(*url);
        call.target = "/v1/proxy/" + percent_encoded(options.app) + options.path;
        return {};
    }
    const auto host = net::parse_url("https://" + options.app_host);
    if (!host || !host->path.empty())
        return usage("--app-host takes HOST or HOST:PORT, not \"" + printable(options.app_host) + "\"");
    if (!http::iequals(host->host.substr(0, host->host.find('.')), options.app))
        return usage(fmt::format("--app-host {} is not of the app \"{}\": its first label must be",
                                 printable(options.app_host), printable(options.app)));
    call.url = options.url.empty() ? "https://" + options.app_host : options.url;
    call.host = options.app_host;
    call.target = options.path;
    return {};
}

Result<void> read_body(const RequestOptions& options, HttpCall& call) {
    if (options.has_data && !options.data_file.empty())
        return usage("--data and --data-file exclude each other");
    call.body = options.data;
    if (!options.data_file.empty()) {
        auto read = attestation::read_whole_file(options.data_file == "-" ? "/dev/stdin" : options.data_file,
                                                 data_bytes_max);
        if (!read) return usage("--data-file: " + read.error().detail);
        call.body = std::move(*read);
    }
    const bool has_data = options.has_data || !options.data_file.empty();
    call.method = !options.method.empty() ? options.method : has_data ? "POST" : "GET";
    if (!http::is_token(call.method) || call.method == "CONNECT")
        return usage("-X takes a method of HTTP, but not CONNECT");
    return {};
}

Result<HttpCall> read_call(const RequestOptions& options, const Context& context) {
    HttpCall call;
    call.is_bare = true;
    call.timeout_s = options.timeout_s;
    call.tls_ca = context.environment("EE_TLS_CA").value_or("");
    if (auto read = read_target(options, context, call); !read) return fail(read.error());
    if (auto read = read_body(options, call); !read) return fail(read.error());
    if (auto read = read_fields(options, call); !read) return fail(read.error());
    return call;
}

class Answer {
public:
    Answer(const RequestOptions& options, std::string met, Context& context)
        : options_(options), met_(std::move(met)), context_(context) {}

    bool take_head(const http::ResponseHead& head) {
        status_ = head.status;
        const std::size_t lines = http::count(head.fields, met_field);
        const std::string_view said = http::find(head.fields, met_field).value_or("");
        if (!met_.empty() && (lines != 1 || said != met_)) {
            unconfirmed_ =
                lines == 0 ? "no EE-Require-Met" : fmt::format("{} EE-Require-Met, \"{}\"", lines, said);
            // A refusal says why; of an answer nothing is looked at.
            return head.status >= 400;
        }
        if (options_.show_head) print_head(head);
        return bool(context_.out);
    }

    bool take_body(std::string_view bytes) {
        if (!unconfirmed_.empty()) {
            refusal_.append(bytes.substr(0, refusal_bytes_max - refusal_.size()));
            return refusal_.size() < refusal_bytes_max;
        }
        context_.out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush();
        return bool(context_.out);
    }

    // `read`: whether all of the answer came.
    int finish(const Result<void>& read) {
        if (!unconfirmed_.empty()) return discard();
        if (!read) return refuse(read.error());
        if (!context_.out) return refuse({"local_failed", "the answer cannot be written"});
        if (status_ < 400) return exit_good;
        return refuse({std::to_string(status_), fmt::format("the answer's status is {}", status_)});
    }

    int refuse(const Error& why) {
        context_.err << fmt::format("eectl: {}: {}\n", printable(why.code), printable(why.detail));
        return exit_refused;
    }

private:
    void print_head(const http::ResponseHead& head) {
        context_.out << fmt::format("HTTP/1.{} {} {}\n", head.minor_version, head.status, head.reason);
        for (const http::Field& field : head.fields)
            context_.out << fmt::format("{}: {}\n", field.name, field.value);
        context_.out << std::endl;
    }

    int discard() {
        if (status_ >= 400) {
            const Error why = refusal_of({.status = status_, .body = refusal_});
            if (why.code != std::to_string(status_)) return refuse(why);
        }
        return refuse(
            {"requirement_not_confirmed",
             fmt::format("the answer, status {}, has {}, where {} was due: something on the way may have "
                         "removed EE-Require. The answer is thrown away",
                         status_, unconfirmed_, met_)});
    }

    const RequestOptions& options_;
    const std::string met_;  // What EE-Require-Met must be; empty: nothing is required.
    Context& context_;
    int status_ = 0;
    std::string unconfirmed_;  // What is there in place of that.
    std::string refusal_;
};

}  // namespace

int run_request(const RequestOptions& options, Context& context) {
    const auto call = read_call(options, context);
    auto met = options.require.empty() ? Result<std::string>("") : met_by(options.require);
    if (!call || !met) {
        context.err << "eectl: " << (call ? met.error() : call.error()).detail << '\n';
        return exit_usage;
    }
    Answer answer(options, std::move(*met), context);
    AnswerReader reader(
        call->method, [&](const http::ResponseHead& head) { return answer.take_head(head); },
        [&](std::string_view bytes) { return answer.take_body(bytes); });
    const auto called = http_raw(*call, [&](std::string_view bytes) { return reader.take(bytes); });
    if (!called) return answer.refuse(called.error());
    return answer.finish(reader.finish());
}

}  // namespace ee::cli
