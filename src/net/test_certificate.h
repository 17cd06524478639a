#pragma once
// Certificates for tests.

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdlib.h>
#include <string>

#include "base/check.h"
#include "base/time.h"
#include "crypto/issuing.h"
#include "net/tls.h"

namespace ee::net {

// A self-signed one, made by the openssl program. Its files are in a folder that goes with this object.
class TestCertificate {
public:
    explicit TestCertificate(const std::string& subject_alternative = "IP:127.0.0.1") {
        std::string pattern = (std::filesystem::temp_directory_path() / "ee-certificate.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
        const std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
            "/CN=localhost "
            "-addext subjectAltName=" +
            subject_alternative + " -keyout " + key().string() + " -out " + certificate().string() +
            " 2>/dev/null";
        EE_CHECK(std::system(command.c_str()) == 0);
    }
    ~TestCertificate() { std::filesystem::remove_all(folder_); }
    TestCertificate(const TestCertificate&) = delete;
    TestCertificate& operator=(const TestCertificate&) = delete;

    std::filesystem::path certificate() const { return folder_ / "certificate.pem"; }
    std::filesystem::path key() const { return folder_ / "key.pem"; }
    std::shared_ptr<const TlsContext> server() const {
        return TlsContext::server(certificate(), key()).value();
    }
    // Of whoever trusts it.
    std::shared_ptr<const TlsContext> client() const { return TlsContext::client(certificate()).value(); }

private:
    std::filesystem::path folder_;
};

// Of a key that no authority knows, as agents make them; for TlsContext::self_made_server().
inline Bytes self_made_certificate(const crypto::SigningKey& key) {
    crypto::CertificateContent content{.serial = {1},
                                       .subject = {{"CN", "self"}},
                                       .not_before = *from_rfc3339("2000-01-01T00:00:00Z"),
                                       .not_after = *from_rfc3339("2000-01-02T00:00:00Z"),
                                       .path_length_max = {},
                                       .subject_alternatives = {},
                                       .extensions = {}};
    return crypto::issue_certificate(content, key.spki(), {key, content.subject});
}

}  // namespace ee::net
