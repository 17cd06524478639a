#include "cli/sealed_connection.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "attestation/report_data.h"

namespace ee::cli {
namespace {

// A quote may have to wait for others to be made.
constexpr int patience_s = 40;

}  // namespace

Result<std::unique_ptr<SealedConnection>> SealedConnection::open(const net::Url& via,
                                                                 const std::string& server_name) {
    auto socket = connect_to(via, patience_s);
    if (!socket) return fail(std::move(socket.error()));
    auto context = net::TlsContext::judging_client(attestation::connect_alpn);
    if (!context) return fail(std::move(context.error()));
    std::unique_ptr<SealedConnection> made(
        new SealedConnection(std::move(*socket), std::move(*context), server_name));
    if (auto held = made->shake_hands(); !held) return fail(std::move(held.error()));
    return made;
}

Result<void> SealedConnection::shake_hands() {
    char buffer[1];
    if (const auto begun = tls_.read({buffer, 0}); !begun) return fail(begun.error());
    if (auto sent = flush(); !sent) return sent;
    while (!tls_.handshake_done())
        if (auto read = read_more(); !read) return read;
    if (tls_.protocol() != attestation::connect_alpn)
        return fail("connect_unsupported", "the other end does not speak " +
                                               std::string(attestation::connect_alpn) +
                                               ": it is no agent that ends TLS itself");
    auto certificate = tls_.peer_certificate();
    auto exporter = tls_.channel_binding();
    if (!certificate || !exporter) return fail("tls_failed", "no certificate, or no exporter of TLS 1.3");
    certificate_ = std::move(*certificate);
    exporter_ = std::move(*exporter);
    return {};
}

Result<void> SealedConnection::flush() {
    std::string_view rest = tls_.output();
    while (!rest.empty()) {
        const ssize_t count =
            uninterrupted([&] { return ::send(fd(), rest.data(), rest.size(), MSG_NOSIGNAL); });
        if (count <= 0) return fail("connection_lost", std::strerror(errno));
        rest.remove_prefix(static_cast<std::size_t>(count));
    }
    tls_.output().clear();
    return {};
}

// One read of the socket, and all the plaintext in it.
Result<void> SealedConnection::read_more() {
    if (is_closed_) return fail("connection_lost", "the other end has ended the TLS session");
    char ciphertext[16 * 1024], plaintext[16 * 1024];
    const ssize_t count = uninterrupted([&] { return ::recv(fd(), ciphertext, sizeof ciphertext, 0); });
    if (count == 0) return fail("connection_lost", "the other end closed the connection");
    if (count < 0)
        return fail("connection_lost",
                    errno == EAGAIN ? std::string("nothing came in time") : std::strerror(errno));
    tls_.feed({ciphertext, static_cast<std::size_t>(count)});
    for (;;) {
        const auto size = tls_.read(plaintext);
        if (!size) {
            tls_.feed({});
            static_cast<void>(flush());  // An alert may be waiting.
            if (size.error().code != "tls_closed") return fail(size.error());
            is_closed_ = true;  // What came before it counts.
            return {};
        }
        if (*size == 0) break;
        received_.append(plaintext, *size);
    }
    tls_.feed({});
    return flush();
}

Result<void> SealedConnection::send(std::string_view bytes) {
    const auto taken = tls_.write(bytes);
    if (!taken) return fail(taken.error());
    return flush();
}

Result<Bytes> SealedConnection::receive(std::size_t size) {
    while (received_.size() < size)
        if (auto read = read_more(); !read) return fail(std::move(read.error()));
    Bytes out = to_bytes(as_bytes(std::string_view(received_).substr(0, size)));
    received_.erase(0, size);
    return out;
}

}  // namespace ee::cli
