// Opens attested tunnels and keeps them open: the load of the benchmarks. Every tunnel is an agent of its
// own, spread over 50 apps, and answers its challenge with a quote made and signed in this process.
//
//   tunnel_load CONTROL_WS SIMULATED_TDX_DIR [AT_ONCE=64]
//
// Standard input takes commands: `open N` opens N more tunnels, at most AT_ONCE of them unattested at a time,
// and prints one JSON line when all are attested. End of input ends the program. Anything that is refused,
// or a tunnel that is lost, ends it with 1.

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

#include <fmt/format.h>
#include <sys/resource.h>

#include "attestation/report_data.h"
#include "attestation/simulated_platform.h"
#include "base/check.h"
#include "crypto/random_pool.h"
#include "crypto/signing_key.h"
#include "http/http1_response_parser.h"
#include "http/websocket_frames.h"
#include "http/websocket_handshake.h"
#include "net/connector.h"
#include "net/signals.h"
#include "net/stream.h"
#include "protocol/decoder.h"
#include "protocol/encoder.h"
#include "protocol/limits.h"

namespace ee::bench {
namespace {

constexpr std::size_t apps = 50;
constexpr std::size_t tunnels_max = 100'000;
constexpr std::chrono::seconds connect_timeout{10};
constexpr http::MessageLimits limits{.text_bytes_max = protocol::text_bytes_max_unattested,
                                     .binary_bytes_max = 0};

// What the tunnels share. One key signs for all of them: what is measured is the control plane.
struct Shared {
    net::Loop& loop;
    net::WorkerPool& workers;
    net::Url control;
    attestation::SimulatedPlatform platform;
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    Bytes key_spki = key.spki();
    crypto::RandomPool random{};
    protocol::Decoder decoder{};
    std::string text{};
};

[[noreturn]] void stop_with(std::string_view what, const Error& error) {
    fmt::print(stderr, "tunnel_load: {}: {}: {}\n", what, error.code, error.detail);
    std::_Exit(1);
}

class Tunnel final : public net::Stream::Handler {
public:
    Tunnel(Shared& shared, std::size_t number, std::function<void()> on_attested)
        : shared_(shared), connector_(shared.loop, shared.workers), on_attested_(std::move(on_attested)) {
        identity_.agent_id = fmt::format("load-{}", number);
        identity_.app_name = fmt::format("load-{}", number % apps);
        identity_.repo = "bench/load";
        identity_.release_tag = "v1.0.0";
        identity_.network = "sandbox-1";
    }

    void connect() {
        connector_.connect(shared_.control, connect_timeout, [this](Result<net::Fd> socket) {
            if (!socket) stop_with(identity_.agent_id, socket.error());
            stream_ = std::make_shared<net::Stream>(shared_.loop, std::move(*socket), *this);
            stream_->start();
            nonce_ = shared_.random.take<16>();
            const std::string host = shared_.control.authority();
            EE_CHECK(http::append_websocket_request(
                stream_->output(),
                {.target = shared_.control.path, .host = host, .protocols = {}, .fields = {}}, nonce_));
            stream_->flush_later();
        });
    }

private:
    void on_data(std::span<char> data) override {
        if (!frames_) {
            input_.append(data.data(), data.size());
            take_upgrade_answer();
            return;
        }
        take_frames(data);
    }

    void on_closed(const Error& why) override { stop_with(identity_.agent_id, why); }

    void take_upgrade_answer() {
        http::ResponseParser parser;
        http::ResponseHead head;
        const auto size = parser.parse(input_, http::AskedMethod::other, head);
        if (!size) stop_with(identity_.agent_id, size.error());
        if (*size == 0) return;
        const auto checked = http::check_websocket_response(head, nonce_, {});
        if (!checked) stop_with(identity_.agent_id, checked.error());
        frames_.emplace(http::FrameDecoder::Role::client, limits);
        protocol::Register message;
        message.repo = identity_.repo;
        message.release_tag = identity_.release_tag;
        message.app_name = identity_.app_name;
        message.network = identity_.network;
        message.agent_id = identity_.agent_id;
        message.tunnel_version = "1";
        message.max_requests = 64;
        send(message);
        std::string rest = input_.substr(*size);
        input_ = {};
        take_frames(rest);
    }

    void take_frames(std::span<char> data) {
        for (;;) {
            std::size_t consumed = 0;
            const auto step = frames_->next(data, consumed);
            data = data.subspan(consumed);
            if (!step) stop_with(identity_.agent_id, step.error().error);
            if (!*step) return;
            on_event(**step);
        }
    }

    void on_event(const http::Event& event) {
        if (event.kind == http::Event::Kind::ping) {
            http::append_frame(stream_->output(), http::Opcode::pong, event.payload, mask());
            return stream_->flush_later();
        }
        if (event.kind == http::Event::Kind::close)
            stop_with(identity_.agent_id, {"closed", std::string(event.payload)});
        if (event.kind != http::Event::Kind::text) return;
        shared_.text.assign(event.payload);
        const auto message = shared_.decoder.decode_control_message(protocol::PaddedText(shared_.text));
        if (!message) stop_with(identity_.agent_id, message.error());
        if (const auto* challenge = std::get_if<protocol::AttestRequest>(&*message)) answer(*challenge);
        if (const auto* status = std::get_if<protocol::Status>(&*message)) take(*status);
    }

    void answer(const protocol::AttestRequest& challenge) {
        attestation::SimulatedQuoteRequest wanted;
        wanted.report_data = attestation::report_data_layout2({.nonce = challenge.nonce,
                                                               .agent_key = shared_.key_spki,
                                                               .channel = {},
                                                               .wire = "1",
                                                               .identity = identity_,
                                                               .measurements = measurements_});
        protocol::AttestResponse response;
        response.nonce = challenge.nonce;
        response.quote = attestation::make_simulated_quote(shared_.platform, wanted);
        response.report_data = wanted.report_data;
        response.measurements = measurements_;
        response.layout2 = true;
        response.agent_key = shared_.key_spki;
        response.signature = to_bytes(shared_.key.sign(attestation::session_message(wanted.report_data)));
        send(response);
    }

    void take(const protocol::Status& status) {
        if (status.state != protocol::StatusState::ok)
            stop_with(identity_.agent_id, {status.reason, status.detail});
        if (const auto on_attested = std::exchange(on_attested_, nullptr)) on_attested();
    }

    template <class Message>
    void send(const Message& message) {
        http::append_frame(stream_->output(), http::Opcode::text, protocol::encode(message), mask());
        stream_->flush_later();
    }
    http::MaskKey mask() { return shared_.random.take<4>(); }

    Shared& shared_;
    net::Connector connector_;
    std::function<void()> on_attested_;
    attestation::AgentIdentity identity_;
    Claims measurements_;
    std::shared_ptr<net::Stream> stream_;
    std::optional<http::FrameDecoder> frames_;
    http::WebSocketNonce nonce_{};
    std::string input_;
};

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Takes the commands and keeps AT_ONCE tunnels on their way.
class Load final : net::Watcher {
public:
    Load(Shared& shared, std::size_t at_once) : shared_(shared), at_once_(at_once) {
        EE_CHECK(::fcntl(STDIN_FILENO, F_SETFL, ::fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK) == 0);
        shared_.loop.watch(STDIN_FILENO, *this);
    }
    ~Load() { shared_.loop.unwatch(STDIN_FILENO, *this); }

private:
    void on_ready(std::uint32_t) override {
        char bytes[256];
        ssize_t count = 0;
        while ((count = ::read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
            commands_.append(bytes, static_cast<std::size_t>(count));
        std::size_t end = 0;
        while ((end = commands_.find('\n')) != std::string::npos) {
            take(commands_.substr(0, end));
            commands_.erase(0, end + 1);
        }
        if (count == 0) shared_.loop.stop();
    }

    void take(const std::string& command) {
        constexpr std::string_view open = "open ";
        std::size_t count = 0;
        const char* const last = command.data() + command.size();
        if (!command.starts_with(open) ||
            std::from_chars(command.data() + open.size(), last, count).ptr != last || count == 0 ||
            tunnels_.size() + count > tunnels_max || attested_ < wanted_)
            stop_with("standard input", {"usage", "`open N`, when the last one is done, not: " + command});
        wanted_ += count;
        asked_ = count;
        began_ = std::chrono::steady_clock::now();
        cpu_at_begin_ = cpu_seconds();
        open_more();
    }

    void open_more() {
        while (tunnels_.size() < wanted_ && tunnels_.size() - attested_ < at_once_) {
            tunnels_.push_back(
                std::make_unique<Tunnel>(shared_, tunnels_.size(), [this] { one_attested(); }));
            tunnels_.back()->connect();
        }
    }

    void one_attested() {
        ++attested_;
        if (attested_ < wanted_) return open_more();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began_;
        fmt::print("{{\"registered\":{},\"seconds\":{:.6f},\"cpu_seconds\":{:.6f}}}\n", asked_, took.count(),
                   cpu_seconds() - cpu_at_begin_);
        std::fflush(stdout);
    }

    Shared& shared_;
    std::size_t at_once_;
    std::vector<std::unique_ptr<Tunnel>> tunnels_;
    std::size_t wanted_ = 0;
    std::size_t asked_ = 0;
    std::size_t attested_ = 0;
    std::chrono::steady_clock::time_point began_{};
    double cpu_at_begin_ = 0;
    std::string commands_;
};

int run(int argc, char** argv) {
    const std::size_t at_once = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 64;
    if (argc < 3 || argc > 4 || at_once == 0) {
        fmt::print(stderr, "usage: tunnel_load CONTROL_WS SIMULATED_TDX_DIR [AT_ONCE=64]\n");
        return 2;
    }
    auto control = net::parse_url(argv[1]);
    if (!control) stop_with(argv[1], control.error());
    auto platform = attestation::load_simulated_platform(argv[2]);
    if (!platform) stop_with(argv[2], platform.error());
    std::signal(SIGPIPE, SIG_IGN);
    net::raise_descriptor_limit();
    net::Loop loop;
    net::WorkerPool workers(1, 4096);
    Shared shared{
        .loop = loop, .workers = workers, .control = std::move(*control), .platform = std::move(*platform)};
    Load load(shared, at_once);
    loop.run();
    return 0;
}

}  // namespace
}  // namespace ee::bench

int main(int argc, char** argv) {
    return ee::bench::run(argc, argv);
}
