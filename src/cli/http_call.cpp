#include "cli/http_call.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <poll.h>

#include <fmt/format.h>
#include <openssl/err.h>
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
constexpr std::size_t write_bytes_max = 16 * 1024;

using SslPtr = std::unique_ptr<SSL, crypto::FreeWith<SSL_free>>;

// What a turn of reading or writing answers when it moves no bytes. 0 of a read: the peer has closed.
constexpr ssize_t would_wait = -1;
constexpr ssize_t is_lost = -2;

ssize_t outcome_of(ssize_t count) {
    if (count >= 0) return count;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? would_wait : is_lost;
}

// Sends the request and reads until the peer closes, having answered, or `take` says false. Both at once, as
// an answer may begin before the request has ended: a peer whose answer is not read need not read either. The
// socket does not block; `write` and `read` make one turn.
template <class Write, class Read>
Result<void> exchange(const net::Url& url, const Socket& socket, const HttpCall& options,
                      std::string_view request, const OnPiece& take, Write write, Read read) {
    char buffer[16 * 1024];
    bool could_send = true, has_come = false;
    // Servers of TLS end so what does not speak it.
    const auto ended = [&](std::string_view how) {
        const std::string_view hint = url.scheme == "http" ? "; is it https:// there?" : "";
        return has_come ? unreachable(url, how) : unreachable(url, fmt::format("{}{}", how, hint), "closed");
    };
    for (;;) {
        bool moved = false;
        if (!request.empty()) {
            const ssize_t count = write(request.data(), request.size());
            if (count > 0) request.remove_prefix(static_cast<std::size_t>(count));
            // What the peer has said before it closed may still be there.
            if (count == is_lost) request = {};
            could_send = could_send && count != is_lost;
            moved = count > 0;
        }
        const ssize_t count = read(buffer, sizeof buffer);
        has_come = has_come || count > 0;
        if (count == 0 && !has_come) return ended("the connection was closed without an answer");
        if (count == 0) return {};
        if (count == is_lost)
            return ended(could_send ? "the connection was lost" : "the connection was lost while sending");
        if (count > 0 && !take({buffer, static_cast<std::size_t>(count)})) return {};
        if (moved || count > 0) continue;
        pollfd ready{.fd = socket.fd(), .events = POLLIN, .revents = 0};
        if (!request.empty()) ready.events |= POLLOUT;
        const int polled = ::poll(&ready, 1, options.timeout_s * 1000);
        if (polled == 0 || (polled < 0 && errno != EINTR)) return unreachable(url, "no answer in time");
    }
}

// Whether it is the root that nobody here vouches for, and not what the certificate says.
bool is_untrusted(long verified) {
    return verified == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           verified == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           verified == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           verified == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           verified == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

// Why there is no TLS, as OpenSSL has it, and what to do about what is only a setting.
tl::unexpected<Error> handshake_failed(const net::Url& url, SSL* ssl) {
    if (const long verified = SSL_get_verify_result(ssl); verified != X509_V_OK)
        return unreachable(
            url,
            fmt::format("its certificate is refused: {}{}", X509_verify_cert_error_string(verified),
                        is_untrusted(verified)
                            ? "; EE_TLS_CA names the PEM file of other roots than the system's"
                            : ""),
            "certificate");
    const unsigned long first = ERR_peek_error();
    const bool is_other =
        ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) == SSL_R_WRONG_VERSION_NUMBER;
    const std::string why = crypto::take_openssl_errors();
    return is_other ? unreachable(url, why + ": no TLS; is it http:// there?", "scheme")
                    : unreachable(url, why);
}

// Whom the certificate must name.
Result<std::string> expected_name(const HttpCall& options, const net::Url& url) {
    if (options.host.empty()) return url.host;
    const auto named = net::parse_url("https://" + options.host);
    if (!named) return fail(named.error());
    return named->host;
}

Result<void> exchange_tls(const net::Url& url, const Socket& socket, const HttpCall& options,
                          std::string_view request, const OnPiece& take) {
    const auto context = net::TlsContext::client(options.tls_ca);
    if (!context) return fail(context.error());
    const SslPtr ssl(SSL_new((*context)->native()));
    if (!ssl || SSL_set_fd(ssl.get(), socket.fd()) != 1)
        return unreachable(url, crypto::take_openssl_errors());
    SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, nullptr);
    SSL_set_mode(ssl.get(), SSL_MODE_ENABLE_PARTIAL_WRITE);
    const auto name = expected_name(options, url);
    if (!name) return fail(name.error());
    X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, name->c_str()) != 1) {
        // What SSL_set_tlsext_host_name does, without its C-style cast. The name is copied.
        SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(name->c_str()));
        SSL_set1_host(ssl.get(), name->c_str());
    }
    const int connected = uninterrupted([&] {
        errno = 0;
        return SSL_connect(ssl.get());
    });
    if (connected != 1) return handshake_failed(url, ssl.get());
    socket.stop_blocking();
    const auto outcome = [&](int count) -> ssize_t {
        if (count > 0) return count;
        const int error = SSL_get_error(ssl.get(), count);
        if (error == SSL_ERROR_ZERO_RETURN) return 0;
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? would_wait : is_lost;
    };
    const auto write = [&](const char* data, std::size_t size) {
        ERR_clear_error();
        return outcome(
            SSL_write(ssl.get(), data, static_cast<int>(std::min<std::size_t>(size, write_bytes_max))));
    };
    const auto read = [&](char* data, std::size_t size) {
        ERR_clear_error();
        return outcome(SSL_read(ssl.get(), data, static_cast<int>(size)));
    };
    return exchange(url, socket, options, request, take, write, read);
}

std::string request_text(const HttpCall& options, const net::Url& url, const std::string& base) {
    std::string request =
        fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", options.method, base,
                    options.target, options.host.empty() ? url.authority() : options.host);
    if (!options.is_bare) request += "User-Agent: eectl\r\nAccept: application/json\r\n";
    if (!options.bearer.empty())
        request += fmt::format("Authorization: Bearer {}\r\n", options.bearer.reveal());
    for (const auto& [name, value] : options.fields) request += fmt::format("{}: {}\r\n", name, value);
    if (!options.is_bare && options.method != "GET") request += "Content-Type: application/json\r\n";
    if (options.has_body()) request += fmt::format("Content-Length: {}\r\n", options.body.size());
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
    if (url->scheme == "https") {
        if (auto asked = exchange_tls(*url, *socket, options, request, take); !asked)
            return fail(std::move(asked.error()));
        return url;
    }
    socket->stop_blocking();
    const auto asked = exchange(
        *url, *socket, options, request, take,
        [&](const char* data, std::size_t size) {
            return outcome_of(::send(socket->fd(), data, size, MSG_NOSIGNAL));
        },
        [&](char* data, std::size_t size) { return outcome_of(::recv(socket->fd(), data, size, 0)); });
    if (!asked) return fail(asked.error());
    return url;
}

}  // namespace

Result<void> http_raw(const HttpCall& options, const OnPiece& on_bytes) {
    const auto asked = ask(options, on_bytes);
    if (!asked) return fail(asked.error());
    return {};
}

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
