#include "net/tls.h"

#include <algorithm>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "crypto/openssl.h"

namespace ee::net {

namespace {

// Of an entry in OpenSSL's queue. An alert that the peer sent is its number behind 1000.
HandshakeFailure failure_of(unsigned long error) {
    using enum HandshakeFailure;
    if (ERR_GET_LIB(error) != ERR_LIB_SSL) return other;
    const int reason = ERR_GET_REASON(error);
    switch (reason) {
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST: return plain_http;
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_BAD_PROTOCOL_VERSION_NUMBER:
        case SSL_R_BAD_RECORD_TYPE:
        case SSL_R_PACKET_LENGTH_TOO_LONG: return no_tls;
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return version;
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_SUITABLE_GROUPS:
        case SSL_R_NO_SUITABLE_KEY_SHARE:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_APPLICATION_PROTOCOL: return nothing_in_common;
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA: return certificate_refused;
        default: return reason >= SSL_AD_REASON_OFFSET ? peer_alert : other;
    }
}

}  // namespace

// A BIO that reads from TlsSession::input_ and appends to output_: no buffer of its own, so an idle
// connection holds none.
struct TlsBio {
    static TlsSession& session(BIO* bio) { return *static_cast<TlsSession*>(BIO_get_data(bio)); }

    static int read(BIO* bio, char* out, int size) {
        BIO_clear_retry_flags(bio);
        std::string_view& input = session(bio).input_;
        if (input.empty()) {
            BIO_set_retry_read(bio);
            return -1;
        }
        const std::size_t count = std::min(input.size(), static_cast<std::size_t>(size));
        std::copy_n(input.data(), count, out);
        input.remove_prefix(count);
        return static_cast<int>(count);
    }

    static int write(BIO* bio, const char* data, int size) {
        BIO_clear_retry_flags(bio);
        session(bio).output_.append(data, static_cast<std::size_t>(size));
        return size;
    }

    static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

    static int create(BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
    }

    static BIO_METHOD* method() {
        static BIO_METHOD* const made = [] {
            BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "easyenclave.span");
            EE_CHECK(m != nullptr);
            BIO_meth_set_read(m, read);
            BIO_meth_set_write(m, write);
            BIO_meth_set_ctrl(m, control);
            BIO_meth_set_create(m, create);
            return m;
        }();
        return made;
    }
};

// Asks clients for their certificate, see CertificateRequest.
struct CertificateAsking {
    // The server name in a ClientHello (RFC 6066 section 3), read before anything else is decided: an older
    // session must not be taken up where a certificate is asked for.
    static std::string_view server_name(SSL* ssl) {
        const unsigned char* data = nullptr;
        std::size_t size = 0;
        if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return {};
        // ServerNameList: u16 size, then type (0: host name), u16 size, name. One entry is all there ever is.
        constexpr std::size_t header = 5;
        if (size < header || data[2] != TLSEXT_NAMETYPE_host_name) return {};
        const std::size_t name_size = static_cast<std::size_t>(data[3] << 8 | data[4]);
        if (name_size > size - header) return {};
        return as_text(ByteSpan(data + header, name_size));
    }

    static bool is_wanted(SSL* ssl, const CertificateRequest& request) {
        if (request.when != CertificateRequest::When::by_name)
            return request.when == CertificateRequest::When::always;
        const std::string_view name = server_name(ssl);
        const std::string_view label = name.substr(0, name.find('.'));
        const auto same = [](char asked, char wanted) {
            return (asked >= 'A' && asked <= 'Z' ? asked - 'A' + 'a' : asked) == wanted;
        };
        return std::ranges::equal(label, request.first_label, same);
    }

    static int on_client_hello(SSL* ssl, int*, void* context) {
        if (is_wanted(ssl, static_cast<const TlsContext*>(context)->request_)) {
            SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
            // No resumption: it would carry the certificate over without a new proof.
            SSL_set_options(ssl, SSL_OP_NO_TICKET);
            SSL_set_num_tickets(ssl, 0);
        }
        return SSL_CLIENT_HELLO_SUCCESS;
    }

    // In place of judging a chain: a self-made certificate has none.
    static int accept_any(X509_STORE_CTX* store, void*) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }

    static void set_up(SSL_CTX* context, TlsContext* owner) {
        SSL_CTX_set_client_hello_cb(context, on_client_hello, owner);
        SSL_CTX_set_cert_verify_callback(context, accept_any, nullptr);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_max_cert_list(context, peer_certificates_bytes_max);
    }

    static constexpr long peer_certificates_bytes_max = 64 * 1024;
};

// What a server picks of the protocols a client offers (RFC 7301 section 3.2): its own preference decides.
struct ProtocolChoice {
    // `if_none`: what becomes of a client that offers others alone.
    template <int if_none>
    static int on_offer(SSL*, const unsigned char** out, unsigned char* out_size,
                        const unsigned char* offered, unsigned int offered_size, void* context) {
        const std::string& ours = static_cast<const TlsContext*>(context)->protocols_;
        const auto* list = reinterpret_cast<const unsigned char*>(ours.data());
        unsigned char* chosen = nullptr;
        const int found = SSL_select_next_proto(
            &chosen, out_size, list, static_cast<unsigned int>(ours.size()), offered, offered_size);
        *out = chosen;
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : if_none;
    }

    static void name(TlsContext& context, std::span<const std::string_view> names) {
        for (const std::string_view name : names) {
            EE_CHECK(!name.empty() && name.size() <= 255);
            context.protocols_.push_back(static_cast<char>(name.size()));
            context.protocols_.append(name);
        }
    }

    static void require(TlsContext& context, std::span<const std::string_view> names) {
        name(context, names);
        SSL_CTX_set_alpn_select_cb(context.native(), on_offer<SSL_TLSEXT_ERR_ALERT_FATAL>, &context);
    }
    static void prefer(TlsContext& context, std::span<const std::string_view> names) {
        name(context, names);
        SSL_CTX_set_alpn_select_cb(context.native(), on_offer<SSL_TLSEXT_ERR_NOACK>, &context);
    }
    static void offer(TlsContext& context, std::string_view protocol) {
        name(context, {&protocol, 1});
        const auto* list = reinterpret_cast<const unsigned char*>(context.protocols_.data());
        const auto size = static_cast<unsigned int>(context.protocols_.size());
        EE_CHECK(SSL_CTX_set_alpn_protos(context.native(), list, size) == 0);
    }
};

namespace {

SSL_CTX* new_context(const SSL_METHOD* method) {
    SSL_CTX* context = SSL_CTX_new(method);
    EE_CHECK(context != nullptr);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return context;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const std::filesystem::path& certificate,
                                                             const std::filesystem::path& key,
                                                             const CertificateRequest& request,
                                                             std::span<const std::string_view> protocols) {
    std::shared_ptr<TlsContext> made(new TlsContext(new_context(TLS_server_method()), true, request));
    SSL_CTX* context = made->native();
    if (request.when != CertificateRequest::When::never) CertificateAsking::set_up(context, made.get());
    if (!protocols.empty()) ProtocolChoice::require(*made, protocols);
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
        return fail("tls_config_invalid", "cannot use the certificate chain in " + certificate.string() +
                                              ": " + crypto::take_openssl_errors());
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)
        return fail("tls_config_invalid", "cannot use the key in " + key.string() +
                                              " with the certificate in " + certificate.string() + ": " +
                                              crypto::take_openssl_errors());
    return made;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::self_made_server(
    ByteSpan certificate, const crypto::SigningKey& key, std::span<const std::string_view> protocols) {
    std::shared_ptr<TlsContext> made(new TlsContext(new_context(TLS_server_method()), true));
    SSL_CTX* context = made->native();
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    ProtocolChoice::prefer(*made, protocols);
    if (SSL_CTX_use_certificate_ASN1(context, static_cast<int>(certificate.size()), certificate.data()) !=
            1 ||
        SSL_CTX_use_PrivateKey(context, key.get()) != 1)
        return fail("tls_config_invalid",
                    "cannot use the certificate with its key: " + crypto::take_openssl_errors());
    return made;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::judging_client(std::string_view protocol) {
    std::shared_ptr<TlsContext> made(new TlsContext(new_context(TLS_client_method()), false));
    SSL_CTX_set_min_proto_version(made->native(), TLS1_3_VERSION);
    SSL_CTX_set_verify(made->native(), SSL_VERIFY_NONE, nullptr);
    ProtocolChoice::offer(*made, protocol);
    return made;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const std::filesystem::path& ca) {
    std::shared_ptr<const TlsContext> made(new TlsContext(new_context(TLS_client_method()), false));
    SSL_CTX* context = made->native();
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    const bool loaded = ca.empty() ? SSL_CTX_set_default_verify_paths(context) == 1
                                   : SSL_CTX_load_verify_file(context, ca.c_str()) == 1;
    if (!loaded)
        return fail("tls_config_invalid", "cannot load trusted roots from " +
                                              (ca.empty() ? std::string("the system") : ca.string()) + ": " +
                                              crypto::take_openssl_errors());
    return made;
}

TlsContext::~TlsContext() {
    SSL_CTX_free(context_);
}

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, const std::string& host)
    : context_(std::move(context)), ssl_(SSL_new(context_->native())) {
    EE_CHECK(ssl_ != nullptr);
    BIO* bio = BIO_new(TlsBio::method());
    EE_CHECK(bio != nullptr);
    BIO_set_data(bio, this);
    SSL_set_bio(ssl_, bio, bio);
    if (context_->is_server()) {
        SSL_set_accept_state(ssl_);
        return;
    }
    SSL_set_connect_state(ssl_);
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) != 1) {
        EE_CHECK(X509_VERIFY_PARAM_set1_host(rules, host.c_str(), host.size()) == 1);
        std::string name = host;  // What the macro SSL_set_tlsext_host_name does, without its C cast.
        SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    }
    ERR_clear_error();
}

TlsSession::~TlsSession() {
    SSL_free(ssl_);
}

std::string_view to_word(HandshakeFailure failure) {
    switch (failure) {
        case HandshakeFailure::plain_http: return "plain_http";
        case HandshakeFailure::no_tls: return "no_tls";
        case HandshakeFailure::version: return "version";
        case HandshakeFailure::nothing_in_common: return "nothing_in_common";
        case HandshakeFailure::certificate_refused: return "certificate_refused";
        case HandshakeFailure::peer_alert: return "peer_alert";
        case HandshakeFailure::peer_left: return "peer_left";
        case HandshakeFailure::timed_out: return "timed_out";
        case HandshakeFailure::other: return "other";
    }
    EE_CHECK(false);
}

Error TlsSession::failure(int result) {
    const int kind = SSL_get_error(ssl_, result);
    if (kind == SSL_ERROR_ZERO_RETURN) {
        ERR_clear_error();
        return {"tls_closed", "the peer ended the TLS session"};
    }
    failure_ = failure_of(ERR_peek_error());
    const long verified = SSL_get_verify_result(ssl_);
    std::string why = crypto::take_openssl_errors();
    if (verified != X509_V_OK)
        why += std::string(" (certificate: ") + X509_verify_cert_error_string(verified) + ")";
    return {"tls_failed", std::move(why)};
}

Result<std::size_t> TlsSession::read(std::span<char> out) {
    ERR_clear_error();
    std::size_t count = 0;
    const int result = SSL_read_ex(ssl_, out.data(), out.size(), &count);
    if (result == 1) return count;
    const int kind = SSL_get_error(ssl_, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) return 0;
    return fail(failure(result));
}

Result<std::size_t> TlsSession::write(std::string_view plaintext) {
    ERR_clear_error();
    std::size_t taken = 0;
    while (taken < plaintext.size()) {
        std::size_t count = 0;
        const int result = SSL_write_ex(ssl_, plaintext.data() + taken, plaintext.size() - taken, &count);
        if (result != 1) {
            const int kind = SSL_get_error(ssl_, result);
            if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) break;
            return fail(failure(result));
        }
        taken += count;
    }
    return taken;
}

void TlsSession::close() {
    ERR_clear_error();
    if (handshake_done()) SSL_shutdown(ssl_);
    ERR_clear_error();
}

bool TlsSession::handshake_done() const {
    return SSL_is_init_finished(ssl_) == 1;
}

std::string_view TlsSession::protocol() const {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return size == 0 ? std::string_view() : as_text(ByteSpan(name, size));
}

std::optional<Bytes> TlsSession::channel_binding() const {
    if (!handshake_done() || SSL_version(ssl_) != TLS1_3_VERSION) return std::nullopt;
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    Bytes out(32);
    // RFC 9266: the context is present and empty.
    const unsigned char empty = 0;
    if (SSL_export_keying_material(ssl_, out.data(), out.size(), label.data(), label.size(), &empty, 0, 1) !=
        1)
        return std::nullopt;
    return out;
}

std::optional<Bytes> TlsSession::peer_certificate() const {
    if (!handshake_done() || SSL_session_reused(ssl_) == 1) return std::nullopt;
    const X509* certificate = SSL_get0_peer_certificate(ssl_);
    unsigned char* der = nullptr;
    const int size = certificate == nullptr ? 0 : i2d_X509(certificate, &der);
    if (size <= 0) return std::nullopt;
    Bytes out(der, der + size);
    OPENSSL_free(der);
    return out;
}

}  // namespace ee::net
