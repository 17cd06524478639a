#include "crypto/openssl.h"

#include <openssl/err.h>

namespace ee::crypto {

std::string take_openssl_errors() {
    std::string text;
    while (const unsigned long code = ERR_get_error()) {
        char line[256];
        ERR_error_string_n(code, line, sizeof line);
        if (!text.empty()) text += "; ";
        text += line;
    }
    return text.empty() ? "no detail" : text;
}

}  // namespace ee::crypto
