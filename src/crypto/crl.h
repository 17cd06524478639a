#pragma once
// Certificate revocation lists (RFC 5280 section 5): complete, direct lists only.

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ecdsa.h"
#include "crypto/openssl.h"

namespace ee::crypto {

// One parsed list. Movable; all reads are const and may run on several threads at once.
class Crl {
public:
    Crl(Crl&&) = default;
    Crl& operator=(Crl&&) = default;
    Crl(const Crl&) = delete;
    Crl& operator=(const Crl&) = delete;

    // Exactly one list in strict DER with a nextUpdate. Refuses (`crl_malformed`) critical extensions, of the
    // list or of an entry: delta and indirect lists are marked by them, and would be misread as complete
    // ones. Refuses an extension that the list or an entry has twice, as Certificate does.
    static Result<Crl> from_der(ByteSpan der);

    // DER of the issuer's name.
    const Bytes& issuer() const { return issuer_; }
    const std::optional<std::string>& issuer_common_name() const { return issuer_common_name_; }
    WallTime this_update() const { return this_update_; }
    WallTime next_update() const { return next_update_; }
    // Whether `key` made this list's ecdsa-with-SHA256 signature.
    bool is_signed_by(const P256PublicKey& key) const;
    // `serial`: big-endian magnitude without leading zeros, as Certificate::serial.
    bool revokes(const Bytes& serial) const;
    std::size_t size() const { return revoked_.size(); }

private:
    Crl() = default;
    // Reads the signed part and says what is malformed about it.
    std::optional<std::string> read_content(ByteSpan content);

    Bytes der_, issuer_;
    std::optional<std::string> issuer_common_name_;
    // Views of der_, whose storage stays where it is when the list moves.
    ByteSpan signed_content_, algorithm_inside_, algorithm_, signature_;
    WallTime this_update_{}, next_update_{};
    std::vector<Bytes> revoked_;  // sorted
};

}  // namespace ee::crypto
