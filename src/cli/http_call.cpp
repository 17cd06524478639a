#include "cli/http_call.h"

#include <memory>

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "cli/response_pieces.h"
#include "cli/tcp_socket.h"
#include "crypto/openssl.h"
#include "net/tls.h"
#include "net/url.h"

namespace ee::cli {
namespace {

constexpr std::size_t response_bytes_max = 64 * 1024 * 1024;

using SslPtr = std::unique_ptr<SSL, crypto::FreeWith<SSL_free>>;

// Sends the request and reads until the peer closes or `take` says false. `write` and `read` answer as the
// socket calls do.
template <class Write, class Read>
Result<void> exchange(const net::Url& url, std::string_view request, const OnPiece& take, Write write,
                      Read read) {
    while (!request.empty()) {
        const auto count = write(request.data(), request.size());
        if (count <= 0) return unreachable(url, "the connection was lost while sending");
        request.remove_prefix(static_cast<std::size_t>(count));
    }
    char buffer[16 * 1024];
    for (;;) {
        const auto count = read(buffer, sizeof buffer);
        if (count == 0) return {};
        if (count < 0) return unreachable(url, "no answer in time");
        if (!take({buffer, static_cast<std::size_t>(count)})) return {};
    }
}

Result<void> exchange_tls(const net::Url& url, const Socket& socket, const HttpCall& options,
                          std::string_view request, const OnPiece& take) {
    const auto context = net::TlsContext::client(options.tls_ca);
    if (!context) return fail(context.error());
    const SslPtr ssl(SSL_new((*context)->native()));
    if (!ssl || SSL_set_fd(ssl.get(), socket.fd()) != 1)
        return unreachable(url, crypto::take_openssl_errors());
    SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, nullptr);
    X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, url.host.c_str()) != 1) {
        // What SSL_set_tlsext_host_name does, without its C-style cast. The name is copied.
        SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(url.host.c_str()));
        SSL_set1_host(ssl.get(), url.host.c_str());
    }
    if (SSL_connect(ssl.get()) != 1) {
        const long verified = SSL_get_verify_result(ssl.get());
        if (verified != X509_V_OK) return unreachable(url, X509_verify_cert_error_string(verified));
        return unreachable(url, crypto::take_openssl_errors());
    }
    const auto write = [&](const char* data, std::size_t size) {
        return SSL_write(ssl.get(), data, static_cast<int>(size));
    };
    const auto read = [&](char* data, std::size_t size) {
        const int count = SSL_read(ssl.get(), data, static_cast<int>(size));
        if (count > 0) return count;
        return SSL_get_error(ssl.get(), count) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    };
    return exchange(url, request, take, write, read);
}

std::string request_text(const HttpCall& options, const net::Url& url, const std::string& base) {
    std::string request = fmt::format(
        "{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: eectl\r\nAccept: application/json\r\nConnection: "
        "close\r\n",
        options.method, base, options.target, url.authority());
    if (!options.bearer.empty())
        request += fmt::format("Authorization: Bearer {}\r\n", options.bearer.reveal());
    for (const auto& [name, value] : options.fields) request += fmt::format("{}: {}\r\n", name, value);
    if (options.method != "GET")
        request +=
            fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", options.body.size());
    return request + "\r\n" + options.body;
}

// Gives `take` the response as it comes.
Result<net::Url> ask(const HttpCall& options, const OnPiece& take) {
    auto url = net::parse_url(options.url);
    if (!url) return fail(url.error());
    if (url->scheme != "http" && url->scheme != "https") {
        return fail("invalid_url", "\"" + options.url + "\" must begin with http:// or https://");
    }
    std::string base = url->path;
    while (base.ends_with('/')) base.pop_back();
    const std::string request = request_text(options, *url, base);
    const auto socket = connect_to(*url, options.timeout_s);
    if (!socket) return fail(socket.error());
    const auto asked =
        url->scheme == "https"
            ? exchange_tls(*url, *socket, options, request, take)
            : exchange(
                  *url, request, take,
                  [&](const char* data, std::size_t size) {
                      return ::send(socket->fd(), data, size, MSG_NOSIGNAL);
                  },
                  [&](char* data, std::size_t size) { return ::recv(socket->fd(), data, size, 0); });
    if (!asked) return fail(asked.error());
    return url;
}

}  // namespace

Result<HttpAnswer> http_call(const HttpCall& options) {
    std::string response;
    const auto asked = ask(options, [&](std::string_view bytes) {
        response.append(bytes);
        return response.size() <= response_bytes_max;
    });
    if (!asked) return fail(asked.error());
    if (response.size() > response_bytes_max) return unreachable(*asked, "the answer is over 64 MiB");
    auto answer = parse_http_response(response);
    if (!answer) return unreachable(*asked, answer.error().detail);
    return answer;
}

Result<HttpAnswer> http_stream(const HttpCall& options, const OnPiece& on_piece) {
    ResponsePieces pieces(on_piece);
    const auto asked = ask(options, [&](std::string_view bytes) { return pieces.take(bytes); });
    if (!asked) return fail(asked.error());
    auto answer = pieces.answer();
    if (!answer) return unreachable(*asked, answer.error().detail);
    return answer;
}

}  // namespace ee::cli
