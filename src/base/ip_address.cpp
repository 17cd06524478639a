#include "base/ip_address.h"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/big_endian.h"

namespace ee {
namespace {

constexpr ByteArray<12> v4_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    const std::string copy(text);
    IpAddress ip;
    if (::inet_pton(AF_INET6, copy.c_str(), ip.bytes_.data()) == 1) return ip;
    std::copy(v4_prefix.begin(), v4_prefix.end(), ip.bytes_.begin());
    if (::inet_pton(AF_INET, copy.c_str(), ip.bytes_.data() + 12) == 1) return ip;
    return std::nullopt;
}

bool IpAddress::is_v4() const {
    return std::equal(v4_prefix.begin(), v4_prefix.end(), bytes_.begin());
}

bool IpAddress::is_loopback() const {
    return is_v4() ? bytes_[12] == 127 : *this == parse("::1");
}

std::string IpAddress::to_string() const {
    if (is_v4()) {  // By hand: this is on the path of every request, and inet_ntop goes through sprintf.
        char text[INET_ADDRSTRLEN];
        char* end = text;
        for (std::size_t i = 12; i < 16; ++i) {
            if (i > 12) *end++ = '.';
            if (bytes_[i] >= 100) *end++ = static_cast<char>('0' + bytes_[i] / 100);
            if (bytes_[i] >= 10) *end++ = static_cast<char>('0' + bytes_[i] / 10 % 10);
            *end++ = static_cast<char>('0' + bytes_[i] % 10);
        }
        return std::string(text, end);
    }
    char text[INET6_ADDRSTRLEN];
    ::inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
    return text;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto ip = IpAddress::parse(text.substr(0, slash));
    if (!ip) return std::nullopt;
    Cidr cidr;
    cidr.network_ = *ip;
    if (slash == std::string_view::npos) return cidr;
    const std::string_view digits = text.substr(slash + 1);
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
    if (bits > (ip->is_v4() ? 32u : 128u)) return std::nullopt;
    cidr.prefix_bits_ = ip->is_v4() ? bits + 96 : bits;
    return cidr;
}

// In words: a listener behind a content delivery network asks two dozen networks about each request.
bool Cidr::contains(const IpAddress& ip) const {
    const auto differ_within = [&](std::size_t at, unsigned bits) {
        if (bits == 0) return false;
        const std::uint64_t difference = big_endian_at<8>(as_text(ip.bytes()).substr(at)) ^
                                         big_endian_at<8>(as_text(network_.bytes()).substr(at));
        return difference >> (64 - bits) != 0;
    };
    return !differ_within(8, prefix_bits_ > 64 ? prefix_bits_ - 64 : 0) &&
           !differ_within(0, std::min(prefix_bits_, 64u));
}

std::string Cidr::to_string() const {
    return network_.to_string() + '/' + std::to_string(network_.is_v4() ? prefix_bits_ - 96 : prefix_bits_);
}

}  // namespace ee
