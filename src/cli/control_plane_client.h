#pragma once
// Asks a control plane.

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "cli/eectl.h"
#include "cli/http_call.h"

namespace ee::cli {

// Of the option `--url` of every command that asks one.
inline constexpr const char* url_help =
    "The control plane (default: EECTL_URL, EE_PUBLIC_URL, http://127.0.0.1:8088)";

// `url`, or where it is empty EECTL_URL, EE_PUBLIC_URL, then the default listener on this machine. Refuses
// with `usage` what is not http or https.
Result<std::string> control_plane_url(const std::string& url, const Context& context);

// Where the control plane is and who asks. The token comes from EECTL_TOKEN or EECTL_TOKEN_FILE (anybody's),
// else EE_ADMIN_TOKEN or EE_ADMIN_TOKEN_FILE, and never from the command line, which every user of the
// machine can read. Of an https URL the certificate is checked against the roots in EE_TLS_CA, or the
// system's.
class ControlPlaneClient {
public:
    // `url` as of control_plane_url(). Refuses with `usage`.
    static Result<ControlPlaneClient> from_environment(const std::string& url, Context& context);

    // The body of a 200. Anything else is a refusal with the server's own reason and detail.
    Result<std::string> get(const std::string& target) const;
    // What a POST of JSON is answered, whatever its status. `fields`: further fields of the request.
    Result<HttpAnswer> post(const std::string& target, const std::string& body,
                            std::vector<std::pair<std::string, std::string>> fields) const;
    // The body of a 200, 201 or 202 by any method, with no further fields.
    Result<std::string> send(const std::string& method, const std::string& target,
                             const std::string& body) const;
    // Hands out the body of a 200 as it comes, until it ends or `on_piece` says false.
    Result<void> stream(const std::string& target, std::vector<std::pair<std::string, std::string>> fields,
                        const OnPiece& on_piece) const;
    const std::string& url() const { return url_; }

private:
    HttpCall call_to(const std::string& target) const;

    std::string url_;
    Secret token_;
    std::filesystem::path tls_ca_;
};

// What an answer that refuses says of why (RFC 9457); another kind of answer is named by its status.
Error refusal_of(const HttpAnswer& answer);

// Prints the refusal with what to do about it, and answers the exit code.
int report_refusal(const ControlPlaneClient& client, const Error& error, Context& context);

// `text` as one query value or path segment: all but unreserved characters as %XX (RFC 3986).
std::string percent_encoded(std::string_view text);

}  // namespace ee::cli
