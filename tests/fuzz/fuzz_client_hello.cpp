// A TLS client's first bytes, after one that says how large the pieces are that they come in: the server name
// does not depend on the pieces, and OpenSSL reads no other one.
#include <algorithm>
#include <string>

#include <openssl/ssl.h>

#include "base/check.h"
#include "crypto/openssl.h"
#include "proxy/client_hello.h"

namespace {

using namespace ee;

// A name, "more" or a refusal's code.
std::string ours(std::string_view bytes, std::size_t piece) {
    proxy::ClientHelloReader reader;
    while (!bytes.empty()) {
        const auto name = reader.feed(bytes.substr(0, piece));
        if (!name) return '!' + name.error().code;
        if (*name) return **name;
        bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    return "!more";
}

struct Theirs {
    bool is_read = false;
    std::optional<std::string> extension;
};

int on_client_hello(SSL* ssl, int*, void* argument) {
    auto& theirs = *static_cast<Theirs*>(argument);
    theirs.is_read = true;
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) == 1)
        theirs.extension.emplace(reinterpret_cast<const char*>(data), size);
    return SSL_CLIENT_HELLO_ERROR;
}

Theirs read_by_openssl(const std::uint8_t* data, std::size_t size) {
    static SSL_CTX* const context = [] {
        SSL_CTX* made = SSL_CTX_new(TLS_server_method());
        EE_CHECK(made != nullptr);
        SSL_CTX_set_security_level(made, 0);
        return made;
    }();
    Theirs theirs;
    SSL_CTX_set_client_hello_cb(context, on_client_hello, &theirs);
    SSL* ssl = SSL_new(context);
    BIO* in = BIO_new_mem_buf(data, static_cast<int>(size));
    BIO* out = BIO_new(BIO_s_mem());
    EE_CHECK(ssl != nullptr && in != nullptr && out != nullptr);
    SSL_set_bio(ssl, in, out);
    SSL_accept(ssl);
    SSL_free(ssl);
    crypto::take_openssl_errors();
    return theirs;
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string name = ours(bytes, std::string_view::npos);
    EE_CHECK(ours(bytes, data[0] + std::size_t{1}) == name);
    const Theirs theirs = read_by_openssl(data + 1, size - 1);
    if (!theirs.is_read) return 0;
    EE_CHECK(name != "!not_tls" && name != "!more");
    if (name == "!server_name_missing") EE_CHECK(!theirs.extension);
    if (name.starts_with('!')) return 0;
    // Behind u16 length of the list, type, u16 length of the name.
    EE_CHECK(theirs.extension && theirs.extension->size() == 5 + name.size());
    EE_CHECK(std::ranges::equal(std::string_view(*theirs.extension).substr(5), name, {}, lower));
    return 0;
}
