#pragma once
// TLS as a codec between bytes: it knows no socket. TLS 1.2 and up (RFC 5246, RFC 8446).

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/signing_key.h"

struct ssl_ctx_st;
struct ssl_st;

namespace ee::net {

// When a server asks its clients for a certificate. Whichever they show is taken, and so is none: who vouches
// for it is for others to judge; that the client holds its key is what the handshake proves.
struct CertificateRequest {
    enum class When { never, by_name, always };
    When when = When::never;
    // by_name: asked of clients that ask for a server name (SNI) with this first label; lower case.
    std::string first_label{};
};

// Why a server's handshake came to nothing.
enum class HandshakeFailure : std::uint8_t {
    plain_http,           // the peer speaks HTTP in clear
    no_tls,               // or something else that is no TLS
    version,              // none in common
    nothing_in_common,    // no cipher, group, kind of signature or protocol (ALPN)
    certificate_refused,  // the peer does not take ours
    peer_alert,           // the peer ended it for another reason
    peer_left,            // and gave none
    timed_out,
    other,
};
inline constexpr std::size_t handshake_failures = 9;
std::string_view to_word(HandshakeFailure failure);

// Settings shared by the connections of one listener or one client. Immutable once made.
class TlsContext {
public:
    // Certificate chain and key in PEM. Refusal `tls_config_invalid` names the file.
    // `protocols`: what is spoken here, the preferred first (ALPN, RFC 7301); a client that names only others
    // is refused, one that names none is not. Empty: the client's wishes are passed over.
    static Result<std::shared_ptr<const TlsContext>> server(const std::filesystem::path& certificate,
                                                            const std::filesystem::path& key,
                                                            const CertificateRequest& request = {},
                                                            std::span<const std::string_view> protocols = {});
    // With a self-made certificate (DER) and its key: TLS 1.3 alone, and no resumption, so that every client
    // is shown the certificate. `protocols`: names (ALPN, RFC 7301) of 1 to 255 bytes, the preferred one
    // first; clients that offer none of them are served all the same. Refusal `tls_config_invalid`.
    static Result<std::shared_ptr<const TlsContext>> self_made_server(
        ByteSpan certificate, const crypto::SigningKey& key, std::span<const std::string_view> protocols);
    // A client that takes any certificate, by TLS 1.3: what it is worth is for the owner to judge, by
    // peer_certificate(), before anything is sent. `protocol`: the one name it offers.
    static Result<std::shared_ptr<const TlsContext>> judging_client(std::string_view protocol);
    // `ca`: PEM file of trusted roots; empty for the system's.
    static Result<std::shared_ptr<const TlsContext>> client(const std::filesystem::path& ca);
    ~TlsContext();

    ssl_ctx_st* native() const { return context_; }
    bool is_server() const { return is_server_; }

private:
    friend struct CertificateAsking;
    friend struct ProtocolChoice;
    TlsContext(ssl_ctx_st* context, bool is_server, CertificateRequest request = {})
        : context_(context), is_server_(is_server), request_(std::move(request)) {}
    ssl_ctx_st* context_;
    bool is_server_;
    CertificateRequest request_;
    std::string protocols_;  // As ALPN writes them: each behind a byte with its length.
};

// One connection's codec. After an error but `tls_closed` only destruction is allowed.
class TlsSession {
public:
    // `host`: what the server's certificate must name; for clients only.
    TlsSession(std::shared_ptr<const TlsContext> context, const std::string& host);
    ~TlsSession();
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;

    // Takes ciphertext from the peer. Plaintext is handed out by read() until it returns 0.
    void feed(std::string_view ciphertext) { input_ = ciphertext; }
    // Bytes of plaintext placed in `out`; 0 when more ciphertext is needed. Refusal: `tls_failed`,
    // `tls_closed`: the peer has said that it sends no more; it may still be written to.
    Result<std::size_t> read(std::span<char> out);
    // Encrypts as much as possible; bytes not taken (handshake unfinished) must be offered again.
    Result<std::size_t> write(std::string_view plaintext);
    // Ciphertext to send; the caller empties it.
    std::string& output() { return output_; }
    // Adds close_notify to the output.
    void close();

    bool handshake_done() const;
    // Of the last `tls_failed`; nullopt: there was none.
    std::optional<HandshakeFailure> handshake_failure() const { return failure_; }
    // Is anything that was fed not yet consumed?
    bool has_input() const { return !input_.empty(); }
    // RFC 9266 channel binding: TLS 1.3 exporter, 32 bytes; nullopt below TLS 1.3.
    std::optional<Bytes> channel_binding() const;
    // The protocol both sides agreed on (ALPN); empty without.
    std::string_view protocol() const;
    // The certificate (DER) whose key the peer has proven to hold in this very handshake; nullopt when it was
    // not asked for, not shown, or while the handshake lasts.
    std::optional<Bytes> peer_certificate() const;

private:
    friend struct TlsBio;
    Error failure(int result);

    std::shared_ptr<const TlsContext> context_;
    ssl_st* ssl_;
    std::string_view input_;
    std::string output_;
    std::optional<HandshakeFailure> failure_;
};

}  // namespace ee::net
