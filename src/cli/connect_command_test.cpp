// eectl connect against an agent of this process that may lie in any one thing.
#include "cli/connect_command.h"

#include <fstream>
#include <functional>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "attestation/simulated_platform_ratls.h"
#include "base/hex.h"
#include "cli/eectl_run.h"
#include "cli/tcp_socket.h"
#include "crypto/digest.h"
#include "net/tls.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

constexpr std::string_view connect_alpn = att::connect_alpn;

// A field of a quote, in hex.
att::FieldOverride field(std::string_view name, const std::string& value) {
    return att::parse_field_override(*att::find_quote_field(name), value).value();
}

// What the agent knows when it answers.
struct Asked {
    ByteArray<32> nonce{};
    Bytes exporter;
    ByteArray<32> spki_sha256{};
};

std::string counted(std::size_t size, std::string_view quote) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
    return out.append(quote);
}

// How the agent is; the defaults are honest.
struct Conduct {
    att::SimulatedCertificateRequest certificate;
    att::SimulatedQuoteRequest fresh;
    std::string_view protocol = connect_alpn;
    std::function<void(Asked&)> mistakes = [](Asked&) {};  // what its quote is over instead
    std::function<std::string(std::string)> answer = [](std::string quote) {
        return counted(quote.size(), quote);
    };
};

// Serves one connection on a thread.
class Agent {
public:
    Agent(const att::SimulatedPlatform& platform, Conduct conduct)
        : platform_(platform), conduct_(std::move(conduct)), listening_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(::bind(listening_.fd(), generic, size), 0);
        EXPECT_EQ(::listen(listening_.fd(), 4), 0);
        EXPECT_EQ(::getsockname(listening_.fd(), generic, &size), 0);
        port = ntohs(address.sin_port);
        thread_ = std::jthread([this] { serve(); });
    }
    ~Agent() { ::shutdown(listening_.fd(), SHUT_RDWR); }

    std::uint16_t port = 0;
    std::size_t heard = 0;  // Bytes of plaintext, once the connection has ended.
    // Whether anybody has come or not.
    void wait() {
        ::shutdown(listening_.fd(), SHUT_RDWR);
        thread_.join();
    }

private:
    void serve() {
        const Socket visitor(::accept(listening_.fd(), nullptr, nullptr));
        if (visitor.fd() < 0) return;
        const crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::p256);
        const Bytes certificate = att::make_simulated_certificate(platform_, key, conduct_.certificate);
        const auto context = net::TlsContext::self_made_server(certificate, key, {&conduct_.protocol, 1});
        ASSERT_TRUE(context) << context.error().detail;
        net::TlsSession tls(*context, "");
        std::string received;
        char ciphertext[4096], plaintext[4096];
        for (bool answered = false;;) {
            send(visitor, tls);
            const ssize_t count = ::recv(visitor.fd(), ciphertext, sizeof ciphertext, 0);
            if (count <= 0) break;
            tls.feed({ciphertext, static_cast<std::size_t>(count)});
            for (auto read = tls.read(plaintext); read && *read > 0; read = tls.read(plaintext))
                received.append(plaintext, *read);
            tls.feed({});
            if (answered || received.size() < 32) continue;
            answered = true;
            EXPECT_TRUE(tls.write(answer(received, *tls.channel_binding(), crypto::sha256(key.spki()))));
            tls.close();
        }
        heard = received.size();
    }
    static void send(const Socket& visitor, net::TlsSession& tls) {
        const std::string bytes = std::exchange(tls.output(), {});
        const ssize_t count = ::send(visitor.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        EXPECT_EQ(count, static_cast<ssize_t>(bytes.size()));
    }
    std::string answer(const std::string& nonce, const Bytes& exporter, const ByteArray<32>& spki_sha256) {
        Asked asked{.nonce = {}, .exporter = exporter, .spki_sha256 = spki_sha256};
        std::copy_n(as_bytes(nonce).begin(), asked.nonce.size(), asked.nonce.begin());
        conduct_.mistakes(asked);
        att::SimulatedQuoteRequest request = conduct_.fresh;
        request.report_data = att::report_data_connect(asked.nonce, asked.exporter, asked.spki_sha256);
        return conduct_.answer(std::string(as_text(att::make_simulated_quote(platform_, request))));
    }

    const att::SimulatedPlatform& platform_;
    const Conduct conduct_;
    Socket listening_;
    std::jthread thread_;
};

struct ConnectCommand : testing::Test {
    static void SetUpTestSuite() {
        platform = std::make_unique<att::SimulatedPlatform>(att::make_simulated_platform(test_now));
    }
    static void TearDownTestSuite() { platform.reset(); }

    ConnectCommand() {
        write("root.der", std::string(as_text(platform->root_certificate)));
        write("collateral.json", att::make_simulated_collateral(*platform, test_now));
        std::string allowlist = att::make_simulated_allowlist(*platform, test_now);
        allowlist.insert(1, R"("release_tag":"v1",)");
        write("allowlist.json", allowlist);
        honest.certificate.identity = {"agent", "myapp", "org/repo", "v1", "sandbox-1"};
        honest.certificate.not_before = test_now - std::chrono::minutes(1);
    }
    void write(const std::string& name, const std::string& text) {
        std::ofstream(folder.file(name), std::ios::binary) << text;
    }
    // What --check --json says of such an agent.
    EectlRun connect(const Conduct& conduct) {
        Agent agent(*platform, conduct);
        const EectlRun run = eectl(
            {"connect", "myapp.app.test", "--via", fmt::format("127.0.0.1:{}", agent.port), "--network",
             "sandbox-1", "--root", folder.file("root.der"), "--collateral", folder.file("collateral.json"),
             "--allowlist", folder.file("allowlist.json"), "--check", "--json"});
        agent.wait();
        heard = agent.heard;
        return run;
    }

    static inline std::unique_ptr<att::SimulatedPlatform> platform;
    TemporaryFolder folder;
    Conduct honest;
    std::size_t heard = 0;
};

TEST_F(ConnectCommand, AcceptsAnHonestAgent) {
    const EectlRun run = connect(honest);
    EXPECT_EQ(run.code, exit_good) << run.out << run.err;
    EXPECT_TRUE(
        run.out.starts_with(R"({"result":"ok","app":"myapp","network":"sandbox-1","repo":"org/repo",)"))
        << run.out;
    EXPECT_EQ(heard, 32u) << "the nonce";
}

// SIGSTOP interrupts a read that has a timeout, too.
TEST_F(ConnectCommand, IsInterruptedByNoSignal) {
    const HarmlessSignal signal;
    honest.mistakes = [waiting = ::gettid(), thread = ::pthread_self()](Asked&) {
        wait_until_asleep(waiting);
        HarmlessSignal::interrupt(thread);
    };
    const EectlRun run = connect(honest);
    EXPECT_EQ(run.code, exit_good) << run.out << run.err;
}

struct Row {
    const char* what;
    const char* code;
    std::size_t heard;  // 0: the certificate was enough, and not even a nonce went out
    std::function<void(Conduct&)> change;
};

const Row rows[] = {
    // The certificate.
    {"another role", "certificate_mismatch:role", 0,
     [](Conduct& c) { c.certificate.identity.role = "control"; }},
    {"another app", "certificate_mismatch:app", 0,
     [](Conduct& c) { c.certificate.identity.app_name = "other"; }},
    {"another network", "certificate_mismatch:network", 0,
     [](Conduct& c) { c.certificate.identity.network = "forge-1"; }},
    {"another release", "allowlist_invalid:/release_tag", 0,
     [](Conduct& c) { c.certificate.identity.release_tag = "v2"; }},
    {"a layout that names nothing", "certificate_mismatch:layout", 0,
     [](Conduct& c) { c.certificate.deployed_layout = true; }},
    {"signed by another key", "certificate_signature_invalid", 0,
     [](Conduct& c) { c.certificate.signed_by_stranger = true; }},
    {"of yesterday", "certificate_expired", 0,
     [](Conduct& c) { c.certificate.not_before = test_now - std::chrono::hours(25); }},
    {"of tomorrow", "certificate_not_yet_valid", 0,
     [](Conduct& c) { c.certificate.not_before = test_now + std::chrono::hours(1); }},
    {"for too long", "certificate_malformed", 0,
     [](Conduct& c) { c.certificate.life = std::chrono::hours(25); }},
    {"a quote over another key", "report_data_mismatch", 0,
     [](Conduct& c) { c.certificate.report_data.emplace().fill(7); }},
    {"a quote of another image", "measurement_mismatch:rtmr2", 0,
     [](Conduct& c) { c.certificate.quote.fields = {field("rtmr2", std::string(96, '1'))}; }},
    {"a quote with a broken signature", "quote_signature_invalid", 0,
     [](Conduct& c) { c.certificate.quote.faults = {att::SimulatedFault::quote_signature}; }},
    {"a quote under another root", "certificate_chain_invalid", 0,
     [](Conduct& c) { c.certificate.quote.faults = {att::SimulatedFault::root_unknown}; }},
    {"no such protocol", "connect_unsupported", 0, [](Conduct& c) { c.protocol = "http/1.1"; }},
    // The fresh quote.
    {"another nonce", "report_data_mismatch", 32,
     [](Conduct& c) { c.mistakes = [](Asked& a) { a.nonce[0] ^= 1; }; }},
    {"another connection's exporter", "report_data_mismatch", 32,
     [](Conduct& c) { c.mistakes = [](Asked& a) { a.exporter[31] ^= 1; }; }},
    {"no exporter", "report_data_mismatch", 32,
     [](Conduct& c) { c.mistakes = [](Asked& a) { a.exporter.clear(); }; }},
    {"another key", "report_data_mismatch", 32,
     [](Conduct& c) { c.mistakes = [](Asked& a) { a.spki_sha256[0] ^= 1; }; }},
    {"another image", "measurement_mismatch:rtmr2", 32,
     [](Conduct& c) { c.fresh.fields = {field("rtmr2", std::string(96, '1'))}; }},
    {"another TD of the image", "measurement_mismatch:mrconfigid", 32,
     [](Conduct& c) { c.fresh.fields = {field("mrconfigid", std::string(96, '1'))}; }},
    {"another platform", "platform_mismatch", 32,
     [](Conduct& c) { c.fresh.fields = {field("pck_ppid", std::string(32, '1'))}; }},
    {"another root", "certificate_chain_invalid", 32,
     [](Conduct& c) { c.fresh.faults = {att::SimulatedFault::root_unknown}; }},
    {"a broken signature", "quote_signature_invalid", 32,
     [](Conduct& c) { c.fresh.faults = {att::SimulatedFault::quote_signature}; }},
    {"no answer", "quote_missing", 32, [](Conduct& c) { c.answer = [](const std::string&) { return ""; }; }},
    {"half a length", "quote_missing", 32,
     [](Conduct& c) { c.answer = [](const std::string&) { return std::string(2, '\0'); }; }},
    {"an empty quote", "quote_missing", 32,
     [](Conduct& c) { c.answer = [](const std::string&) { return counted(0, ""); }; }},
    {"a quote cut off", "quote_missing", 32,
     [](Conduct& c) {
         c.answer = [](const std::string& q) { return counted(q.size(), q.substr(0, q.size() - 1)); };
     }},
    {"a length too short", "quote_malformed", 32,
     [](Conduct& c) { c.answer = [](const std::string& q) { return counted(q.size() - 1, q); }; }},
    {"a length too long", "quote_too_large", 32,
     [](Conduct& c) { c.answer = [](const std::string& q) { return counted(16 * 1024 + 1, q); }; }},
};

TEST_F(ConnectCommand, RefusesAnAgentThatIsWrongInOneThing) {
    for (const Row& row : rows) {
        Conduct conduct = honest;
        row.change(conduct);
        const EectlRun run = connect(conduct);
        EXPECT_EQ(run.code, exit_refused) << row.what;
        EXPECT_TRUE(run.out.starts_with(fmt::format(R"({{"result":"refused","code":"{}",)", row.code)))
            << row.what << ": " << run.out << run.err;
        EXPECT_EQ(heard, row.heard) << row.what;
    }
}

TEST_F(ConnectCommand, SaysThatNobodyIsThere) {
    std::uint16_t port = 0;
    {
        Agent agent(*platform, honest);
        port = agent.port;
    }
    const EectlRun run =
        eectl({"connect", "myapp.app.test", "--via", fmt::format("127.0.0.1:{}", port), "--root",
               folder.file("root.der"), "--collateral", folder.file("collateral.json"), "--allowlist",
               folder.file("allowlist.json"), "--network", "sandbox-1"});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_TRUE(run.err.starts_with("eectl: unreachable: ")) << run.err;
}

TEST_F(ConnectCommand, ABadAllowlistIsARefusal) {
    write("allowlist.json", "{}");
    const EectlRun run = connect(honest);
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find("\"code\":\"allowlist_invalid"), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ee::cli
