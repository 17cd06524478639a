#include "crypto/x509_fields.h"

#include <ctime>

namespace ee::crypto {

std::optional<WallTime> wall_time_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
    using namespace std::chrono;
    const year_month_day date(year(parts.tm_year + 1900), month(static_cast<unsigned>(parts.tm_mon) + 1),
                              day(static_cast<unsigned>(parts.tm_mday)));
    if (!date.ok()) return std::nullopt;
    return sys_days(date) + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
}

Bytes der_of_name(const X509_NAME* name) {
    const int size = i2d_X509_NAME(name, nullptr);
    if (size <= 0) return {};
    Bytes der(static_cast<std::size_t>(size));
    unsigned char* end = der.data();
    i2d_X509_NAME(name, &end);
    return der;
}

std::optional<std::string> common_name_of(const X509_NAME* name) {
    const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0) return std::nullopt;
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size < 0) return std::nullopt;
    std::string out(as_text({text, static_cast<std::size_t>(size)}));
    OPENSSL_free(text);
    return out;
}

std::optional<Bytes> magnitude_of(const ASN1_INTEGER* number) {
    if (ASN1_STRING_type(number) == V_ASN1_NEG_INTEGER) return std::nullopt;
    const ByteSpan digits(ASN1_STRING_get0_data(number),
                          static_cast<std::size_t>(ASN1_STRING_length(number)));
    const auto first = std::find_if(digits.begin(), digits.end(), [](std::uint8_t b) { return b != 0; });
    return Bytes(first, digits.end());
}

bool is_ecdsa_sha256(const X509_ALGOR* algorithm) {
    const ASN1_OBJECT* type = nullptr;
    int parameter_type = 0;
    X509_ALGOR_get0(&type, &parameter_type, nullptr, algorithm);
    return OBJ_obj2nid(type) == NID_ecdsa_with_SHA256 && parameter_type == V_ASN1_UNDEF;
}

}  // namespace ee::crypto
