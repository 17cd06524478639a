#include "proxy/client_hello.h"

#include <functional>
#include <vector>

#include <gtest/gtest.h>

namespace ee::proxy {
namespace {

std::string number(std::size_t value, int size) {
    std::string out;
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
    return out;
}
std::string counted(const std::string& content, int length_size) {
    return number(content.size(), length_size) + content;
}
std::string extension(std::size_t type, const std::string& content) {
    return number(type, 2) + counted(content, 2);
}
std::string host(const std::string& name) {
    return number(0, 1) + counted(name, 2);
}

// A ClientHello in parts, each of which a test may change.
struct Hello {
    std::string version = number(0x0303, 2);
    std::string random = std::string(32, 'r');
    std::string session_id = counted(std::string(32, 's'), 1);
    std::string ciphers = counted(number(0x1301, 2), 2);
    std::string compressions = counted(std::string(1, '\0'), 1);
    std::string before = extension(0x0a0a, "") + extension(43, "\x02\x03\x04");
    std::string server_name = extension(0, counted(host("MyApp.app.test"), 2));
    std::string after = extension(0xfe0d, std::string(200, 'e'));  // Encrypted Client Hello, or GREASE of it
    std::optional<std::string> extensions;                         // in place of those three

    std::string body() const {
        return version + random + session_id + ciphers + compressions +
               extensions.value_or(counted(before + server_name + after, 2));
    }
    std::string message() const { return number(1, 1) + counted(body(), 3); }
};

std::string record(const std::string& fragment, std::size_t type = 22, std::size_t version = 0x0301) {
    return number(type, 1) + number(version, 2) + counted(fragment, 2);
}
std::string in_records(const std::string& message, std::size_t size) {
    std::string out;
    for (std::size_t at = 0; at < message.size(); at += size) out += record(message.substr(at, size));
    return out;
}

// The name, "more", or the refusal's code.
std::string read(std::string_view bytes, std::size_t piece = std::string_view::npos) {
    ClientHelloReader reader;
    while (!bytes.empty()) {
        const auto name = reader.feed(bytes.substr(0, piece));
        if (!name) return name.error().code;
        if (*name) return **name;
        bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    return "more";
}

TEST(ClientHello, NamesTheServerInLowerCase) {
    EXPECT_EQ(read(record(Hello().message())), "myapp.app.test");
}

TEST(ClientHello, MayComeInAnyPiecesAndRecords) {
    const std::string message = Hello().message();
    for (const std::size_t fragment : {1u, 2u, 3u, 4u, 5u, 7u, 100u, 16384u})
        for (const std::size_t piece : {1u, 4u, 6u, 16384u})
            EXPECT_EQ(read(in_records(message, fragment), piece), "myapp.app.test")
                << fragment << ' ' << piece;
}

TEST(ClientHello, NeedsAllOfItAndNothingBehindIt) {
    const std::string bytes = record(Hello().message());
    for (std::size_t size = 0; size < bytes.size(); ++size)
        ASSERT_EQ(read(std::string_view(bytes).substr(0, size)), "more") << size;
    EXPECT_EQ(read(bytes + record("early data", 23)), "myapp.app.test");
    EXPECT_EQ(read(bytes + "no record at all"), "myapp.app.test");
    EXPECT_EQ(read(record(Hello().message() + std::string("\x14\x00\x00\x00", 4))), "myapp.app.test");
}

TEST(ClientHello, IsAsLargeAsIsReadAndNoLarger) {
    Hello hello;
    const std::size_t without = record(hello.message()).size();
    hello.after += extension(21, std::string(client_hello_bytes_max - without - 4, '\0'));
    ASSERT_EQ(record(hello.message()).size(), client_hello_bytes_max);
    EXPECT_EQ(read(record(hello.message())), "myapp.app.test");
    hello.after.back() = '\0';
    hello.before += extension(0x1a1a, "");
    EXPECT_EQ(read(record(hello.message())), "client_hello_too_large");
    EXPECT_EQ(read(record(hello.message()), 1), "client_hello_too_large");
    // One that says so beforehand is refused without its bytes.
    EXPECT_EQ(read(record(std::string("\x01\x00\x40\x00", 4))), "client_hello_too_large");
    // Record headers count: a record a byte makes much of little.
    EXPECT_EQ(read(in_records(std::string("\x01\x00\x3f\x00", 4) + std::string(4096, 'x'), 1)),
              "client_hello_too_large");
}

struct Row {
    const char* what;
    const char* code;
    std::function<void(Hello&)> change;
};

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.what;
}

std::string list(const std::string& entries) {
    return extension(0, counted(entries, 2));
}

const Row rows[] = {
    {"no extensions at all", "server_name_missing", [](Hello& h) { h.extensions = ""; }},
    {"an empty list of extensions", "server_name_missing", [](Hello& h) { h.extensions = number(0, 2); }},
    {"no server_name", "server_name_missing", [](Hello& h) { h.server_name.clear(); }},
    {"an empty server_name", "client_hello_malformed", [](Hello& h) { h.server_name = extension(0, ""); }},
    {"an empty list of names", "client_hello_malformed", [](Hello& h) { h.server_name = list(""); }},
    {"an empty name", "server_name_invalid", [](Hello& h) { h.server_name = list(host("")); }},
    {"two names", "client_hello_malformed",
     [](Hello& h) { h.server_name = list(host("a.b") + host("c.d")); }},
    {"a name of another type", "client_hello_malformed",
     [](Hello& h) { h.server_name = list("\x01" + counted("a.b", 2)); }},
    {"server_name twice", "client_hello_malformed", [](Hello& h) { h.after += h.server_name; }},
    {"a name longer than its list", "client_hello_malformed",
     [](Hello& h) { h.server_name = list(number(0, 1) + number(4, 2) + "abc"); }},
    {"a list longer than its extension", "client_hello_malformed",
     [](Hello& h) { h.server_name = extension(0, number(7, 2) + host("abc")); }},
    {"a list shorter than its extension", "client_hello_malformed",
     [](Hello& h) { h.server_name = extension(0, counted(host("abc"), 2) + "x"); }},
    {"a NUL in the name", "server_name_invalid",
     [](Hello& h) { h.server_name = list(host(std::string("myapp.app.test\0x", 16))); }},
    {"a dot at the name's end", "server_name_invalid",
     [](Hello& h) { h.server_name = list(host("myapp.app.test.")); }},
    {"a dot before the name", "server_name_invalid",
     [](Hello& h) { h.server_name = list(host(".app.test")); }},
    {"an empty label", "server_name_invalid", [](Hello& h) { h.server_name = list(host("myapp..test")); }},
    {"a slash in the name", "server_name_invalid", [](Hello& h) { h.server_name = list(host("a/b.test")); }},
    {"a byte above 127 in the name", "server_name_invalid",
     [](Hello& h) { h.server_name = list(host("m\xc3\xa9.test")); }},
    {"a name of 254 bytes", "server_name_invalid",
     [](Hello& h) { h.server_name = list(host(std::string(254, 'a'))); }},
    {"an extension longer than the list", "client_hello_malformed",
     [](Hello& h) { h.after = number(5, 2) + number(9, 2) + "12345678"; }},
    {"an extension cut off in its header", "client_hello_malformed",
     [](Hello& h) { h.after = "\x01\x02\x03"; }},
    {"bytes behind the extensions", "client_hello_malformed",
     [](Hello& h) { h.extensions = counted(h.before + h.server_name, 2) + "x"; }},
    {"extensions that are longer than the body", "client_hello_malformed",
     [](Hello& h) { h.extensions = number(h.server_name.size() + 1, 2) + h.server_name; }},
    {"half a length of extensions", "client_hello_malformed",
     [](Hello& h) { h.extensions = std::string(1, '\0'); }},
    {"no cipher suite", "client_hello_malformed", [](Hello& h) { h.ciphers = number(0, 2); }},
    {"half a cipher suite", "client_hello_malformed", [](Hello& h) { h.ciphers = counted("123", 2); }},
    {"no compression method", "client_hello_malformed", [](Hello& h) { h.compressions = number(0, 1); }},
    {"a session id of 33 bytes", "client_hello_malformed",
     [](Hello& h) { h.session_id = counted(std::string(33, 's'), 1); }},
    {"a random of 31 bytes", "client_hello_malformed", [](Hello& h) {
         h.random.pop_back();
         h.session_id = h.ciphers = h.compressions = "";
         h.extensions = "";
     }}};

class ClientHelloRefusal : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Each, ClientHelloRefusal, testing::ValuesIn(rows));

TEST_P(ClientHelloRefusal, HasItsCode) {
    Hello hello;
    GetParam().change(hello);
    EXPECT_EQ(read(record(hello.message())), GetParam().code);
    EXPECT_EQ(read(in_records(hello.message(), 3), 1), GetParam().code);
}

TEST(ClientHello, OfLessThanItsLengthSaysOrOfMoreIsRefused) {
    // The body's own fields end before, or behind, what the message's length says.
    const Hello hello;
    const std::string body = hello.body();
    for (const std::size_t size : {body.size() - 1, body.size() - 205})
        EXPECT_EQ(read(record(number(1, 1) + number(size, 3) + body)), "client_hello_malformed") << size;
    EXPECT_EQ(read(record(number(1, 1) + number(0, 3) + body)), "client_hello_malformed");
    EXPECT_EQ(server_name_of(hello.message()), "myapp.app.test");
    EXPECT_FALSE(server_name_of(hello.message() + "x"));
    EXPECT_EQ(read(record(number(1, 1) + number(body.size() + 1, 3) + body + "x")), "client_hello_malformed");
}

struct BytesRow {
    const char* what;
    const char* code;
    std::string bytes;
};

TEST(ClientHello, IsToldApartFromWhatIsNone) {
    const std::string message = Hello().message();
    const BytesRow bytes_rows[] = {
        {"HTTP", "not_tls", "GET / HTTP/1.1\r\n\r\n"},
        {"SSH", "not_tls", "SSH-2.0-x\r\n"},
        {"an SSLv2 hello", "not_tls", std::string("\x80\x2e\x01\x03\x01", 5)},
        {"an alert", "not_tls", record("\x02\x28", 21)},
        {"application data", "not_tls", record(message, 23)},
        {"another major version", "not_tls", record(message, 22, 0x0201)},
        {"an empty record", "client_hello_malformed", record("")},
        {"a record over its maximum", "client_hello_malformed",
         number(22, 1) + number(0x0301, 2) + number(16385, 2)},
        {"a ServerHello", "client_hello_malformed", record("\x02" + message.substr(1))},
        {"the beginning of a ServerHello", "client_hello_malformed", record("\x02")},
        {"an empty record within", "client_hello_malformed", record(message.substr(0, 9)) + record("")},
        {"an alert within", "client_hello_malformed", record(message.substr(0, 9)) + record("\x01\x00", 21)},
    };
    for (const BytesRow& row : bytes_rows) {
        EXPECT_EQ(read(row.bytes), row.code) << row.what;
        EXPECT_EQ(read(row.bytes, 1), row.code) << row.what;
    }
}

TEST(ClientHello, ItsRefusalsHaveAlerts) {
    const std::pair<const char*, int> alerts[] = {{"not_tls", 50},
                                                  {"client_hello_malformed", 50},
                                                  {"client_hello_too_large", 50},
                                                  {"server_name_missing", 109},
                                                  {"server_name_invalid", 112},
                                                  {"unknown_app", 112},
                                                  {"offline", 80},
                                                  {"upgrade_unsupported", 80}};
    for (const auto& [code, description] : alerts) EXPECT_EQ(alert_of(code), description) << code;
    EXPECT_EQ(alert_record(80), std::string("\x15\x03\x03\x00\x02\x02\x50", 7));
}

}  // namespace
}  // namespace ee::proxy
