#pragma once
// A self-signed certificate for tests, made by the openssl program.

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdlib.h>
#include <string>

#include "base/check.h"
#include "net/tls.h"

namespace ee::net {

// Its files are in a folder that goes with this object.
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

}  // namespace ee::net
