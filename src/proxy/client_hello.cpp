#include "proxy/client_hello.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/big_endian.h"
#include "http/target.h"

namespace ee::proxy {
namespace {

// Of RFC 8446 sections 4, 5.1 and 6, RFC 6066 section 3.
constexpr std::uint8_t content_alert = 21;
constexpr std::uint8_t content_handshake = 22;
constexpr std::uint8_t message_client_hello = 1;
constexpr std::uint8_t name_type_host = 0;
constexpr std::uint16_t extension_server_name = 0;
constexpr std::size_t record_header_size = 5;
constexpr std::size_t message_header_size = 4;
constexpr std::size_t fragment_size_max = 16 * 1024;
constexpr std::size_t random_size = 32;
constexpr std::size_t session_id_size_max = 32;
constexpr std::size_t host_name_size_max = 253;

constexpr std::uint8_t alert_decode_error = 50;
constexpr std::uint8_t alert_internal_error = 80;
constexpr std::uint8_t alert_missing_extension = 109;
constexpr std::uint8_t alert_unrecognized_name = 112;

std::uint8_t byte_at(std::string_view bytes, std::size_t index) {
    return static_cast<std::uint8_t>(bytes[index]);
}

tl::unexpected<Error> malformed(std::string detail) {
    return fail("client_hello_malformed", std::move(detail));
}

// Takes numbers and counted vectors (RFC 8446 section 3) off the front; nullopt where too little is left.
class Fields {
public:
    explicit Fields(std::string_view bytes) : rest_(bytes) {}

    bool at_end() const { return rest_.empty(); }
    std::optional<std::string_view> take(std::size_t size) {
        if (size > rest_.size()) return std::nullopt;
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }
    // Big-endian, of 1 to 3 bytes.
    std::optional<std::size_t> number(std::size_t size) {
        const auto bytes = take(size);
        if (!bytes) return std::nullopt;
        return from_big_endian(as_bytes(*bytes));
    }
    // A vector whose length stands before it, in so many bytes.
    std::optional<std::string_view> counted(std::size_t length_size) {
        const auto size = number(length_size);
        return size ? take(*size) : std::nullopt;
    }

private:
    std::string_view rest_;
};

bool is_host_name(std::string_view name) {
    if (name.empty() || name.size() > host_name_size_max) return false;
    if (name.front() == '.' || name.back() == '.' || name.find("..") != std::string_view::npos) return false;
    return std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_' || c == '.';
    });
}

// ServerNameList. RFC 6066 allows one host name and knows no other kind; TLS libraries take nothing else.
Result<std::string> read_server_name(std::string_view extension) {
    Fields outer(extension);
    const auto list = outer.counted(2);
    if (!list || !outer.at_end()) return malformed("server_name is not one list");
    Fields entry(*list);
    const auto type = entry.number(1);
    const auto name = type == name_type_host ? entry.counted(2) : std::nullopt;
    if (!name || !entry.at_end()) return malformed("server_name does not hold exactly one host name");
    if (!is_host_name(*name))
        return fail("server_name_invalid",
                    fmt::format("{} bytes that are no host name in server_name", name->size()));
    return http::to_lower(*name);
}

// The extension's content; nullopt without it.
Result<std::optional<std::string_view>> find_server_name(std::string_view extensions) {
    std::optional<std::string_view> found;
    Fields rest(extensions);
    while (!rest.at_end()) {
        const auto type = rest.number(2);
        const auto content = type ? rest.counted(2) : std::nullopt;
        if (!content) return malformed("an extension is longer than what holds them");
        if (*type != extension_server_name) continue;
        if (found) return malformed("server_name is there twice");
        found = content;
    }
    return found;
}

}  // namespace

Result<std::string> server_name_of(std::string_view message) {
    Fields outer(message);
    if (outer.number(1) != message_client_hello) return malformed("the first message is no ClientHello");
    const auto body = outer.counted(3);
    if (!body || !outer.at_end()) return malformed("the message's length is not that of its body");
    Fields fields(*body);
    if (!fields.take(2) || !fields.take(random_size)) return malformed("version and random are cut off");
    const auto session_id = fields.counted(1);
    if (!session_id || session_id->size() > session_id_size_max)
        return malformed("the session id does not fit");
    const auto ciphers = fields.counted(2);
    if (!ciphers || ciphers->empty() || ciphers->size() % 2 != 0)
        return malformed("the cipher suites do not fit");
    const auto compressions = fields.counted(1);
    if (!compressions || compressions->empty()) return malformed("the compression methods do not fit");
    constexpr std::string_view none = "the ClientHello names no server (SNI)";
    // TLS 1.2 may end here.
    if (fields.at_end()) return fail("server_name_missing", std::string(none));
    const auto extensions = fields.counted(2);
    if (!extensions || !fields.at_end()) return malformed("the extensions are not all that is left");
    const auto server_name = find_server_name(*extensions);
    if (!server_name) return fail(server_name.error());
    if (!*server_name) return fail("server_name_missing", std::string(none));
    return read_server_name(**server_name);
}

// RFC 8446 section 5.1. The version is for old servers: only that it is one of TLS is looked at.
Result<void> ClientHelloReader::take_record_header() {
    if (byte_at(header_, 0) != content_handshake)
        return malformed(fmt::format("a record of type {} within the ClientHello", byte_at(header_, 0)));
    left_ = static_cast<std::size_t>(byte_at(header_, 3) << 8 | byte_at(header_, 4));
    if (left_ == 0 || left_ > fragment_size_max)
        return malformed(
            fmt::format("a handshake record of {} bytes, 1 to {} are allowed", left_, fragment_size_max));
    header_.clear();
    return {};
}

// Whether the message is complete.
Result<bool> ClientHelloReader::take_fragment(std::string_view& bytes) {
    const std::string_view fragment = bytes.substr(0, left_);
    message_.append(fragment);  // At most what one record holds: it is refused below when that is too much.
    bytes.remove_prefix(fragment.size());
    left_ -= fragment.size();
    if (byte_at(message_, 0) != message_client_hello)
        return malformed(
            fmt::format("the first message is of type {}, not a ClientHello", byte_at(message_, 0)));
    if (message_.size() < message_header_size) return false;
    const std::size_t size = message_header_size + *Fields(std::string_view(message_).substr(1)).number(3);
    if (size > client_hello_bytes_max)
        return fail("client_hello_too_large", fmt::format("a ClientHello of {} bytes, at most {} are read",
                                                          size, client_hello_bytes_max));
    const bool is_complete = message_.size() >= size;
    if (is_complete) message_.resize(size);  // Another message may follow in the same record.
    if (auto held = check_size(); !held) return fail(std::move(held.error()));
    return is_complete;
}

// The same whatever the pieces: of bytes behind the message none is counted.
Result<void> ClientHelloReader::check_size() const {
    if (headers_size_ + message_.size() <= client_hello_bytes_max) return {};
    return fail("client_hello_too_large",
                fmt::format("no complete ClientHello in {} bytes", client_hello_bytes_max));
}

Result<std::optional<std::string>> ClientHelloReader::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (left_ == 0) {
            const std::size_t count = std::min(bytes.size(), record_header_size - header_.size());
            header_.append(bytes.substr(0, count));
            bytes.remove_prefix(count);
            headers_size_ += count;
            const bool is_tls =
                byte_at(header_, 0) == content_handshake && (header_.size() < 2 || byte_at(header_, 1) == 3);
            if (!is_tls && message_.empty())
                return fail("not_tls", "the connection does not begin with a TLS handshake record");
            if (header_.size() == record_header_size)
                if (auto taken = take_record_header(); !taken) return fail(std::move(taken.error()));
        } else {
            const auto complete = take_fragment(bytes);
            if (!complete) return fail(complete.error());
            if (*complete) {
                auto name = server_name_of(message_);
                if (!name) return fail(std::move(name.error()));
                return std::optional(std::move(*name));
            }
        }
    }
    return std::optional<std::string>();
}

std::uint8_t alert_of(std::string_view code) {
    if (code == "unknown_app" || code == "server_name_invalid") return alert_unrecognized_name;
    // RFC 8446 section 9.2.
    if (code == "server_name_missing") return alert_missing_extension;
    if (code == "not_tls" || code == "client_hello_malformed" || code == "client_hello_too_large")
        return alert_decode_error;
    return alert_internal_error;
}

std::string alert_record(std::uint8_t description) {
    constexpr char fatal = 2;
    return {static_cast<char>(content_alert), 3, 3, 0, 2, fatal, static_cast<char>(description)};
}

}  // namespace ee::proxy
