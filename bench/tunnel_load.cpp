// Opens attested tunnels and keeps them open: the load of the benchmarks. Every tunnel is an agent of its
// own, spread over 50 apps, and answers its challenge with a quote made and signed in this process.
//
//   tunnel_load [--v1] [--ca PEM] CONTROL_URL SIMULATED_TDX_DIR [AT_ONCE=64]
//
// Standard input takes commands. `open N` opens N more tunnels, at most AT_ONCE of them unattested at a time,
// and prints one JSON line when all are attested. `come back` lets tunnels that are lost come back as agents
// do, and prints one when all have been lost and are attested again; any other loss ends the program with 1,
// and so does a request that comes before the attestation. End of input ends it with 0.

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "attestation/report_data.h"
#include "attestation/simulated_platform.h"
#include "base/backoff.h"
#include "base/check.h"
#include "crypto/random_pool.h"
#include "crypto/signing_key.h"
#include "http/http1_response_parser.h"
#include "http/http2_session.h"
#include "http/websocket_frames.h"
#include "http/websocket_handshake.h"
#include "net/signals.h"
#include "net/stream.h"
#include "net/url.h"
#include "protocol/decoder.h"
#include "protocol/encoder.h"
#include "protocol/limits.h"
#include "tunnel/message_sink.h"

namespace ee::bench {
namespace {

constexpr std::size_t apps = 50;
constexpr std::size_t tunnels_max = 100'000;
constexpr std::chrono::seconds connect_timeout{10};
// One address has 28,000 ports for all its connections to another, and looking for a free one takes long when
// most are taken. Agents have an address each; these come from so many, 127.0.0.2 and up.
constexpr std::size_t source_addresses = 32;
constexpr http::MessageLimits limits{.text_bytes_max = protocol::text_bytes_max_v2,
                                     .binary_bytes_max = tunnel::message_bytes_max};
constexpr std::string_view offered_v2[] = {tunnel::v2_subprotocol};
// As an agent's session.
constexpr std::uint32_t streams_max = 1024;
constexpr std::chrono::milliseconds reconnect_min{1000}, reconnect_max{60'000};

// What the tunnels share. One key signs for all of them: what is measured is the control plane.
struct Shared {
    net::Loop& loop;
    net::Url control;
    std::shared_ptr<const net::TlsContext> tls;  // For wss.
    bool v2;
    attestation::SimulatedPlatform platform;
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    Bytes key_spki = key.spki();
    crypto::RandomPool random{};
    protocol::Decoder decoder{};
    std::string text{};
    bool comes_back = false;
};

[[noreturn]] void stop_with(std::string_view what, const Error& error) {
    fmt::print(stderr, "tunnel_load: {}: {}: {}\n", what, error.code, error.detail);
    std::_Exit(1);
}

// On its way to the loopback address that the control plane listens on.
Result<net::Fd> connecting_socket(std::uint16_t port, std::size_t source) {
    const auto at = [](std::uint32_t address, std::uint16_t number) {
        sockaddr_in out{};
        out.sin_family = AF_INET;
        out.sin_addr.s_addr = htonl(address);
        out.sin_port = htons(number);
        return out;
    };
    const sockaddr_in from =
        at(INADDR_LOOPBACK + 1 + static_cast<std::uint32_t>(source % source_addresses), 0);
    const sockaddr_in to = at(INADDR_LOOPBACK, port);
    net::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;  // The port is chosen with the connection.
    if (!socket || ::setsockopt(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
        (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
         errno != EINPROGRESS))
        return fail("connect_failed", std::strerror(errno));
    return socket;
}

class Tunnel final : public net::Stream::Handler, public http::Http2Observer {
public:
    // Of every attestation, and of the loss of every attested connection.
    class Observer {
    public:
        virtual void on_attested() = 0;
        virtual void on_lost() = 0;

    protected:
        ~Observer() = default;
    };

    Tunnel(Shared& shared, std::size_t number, Observer& observer)
        : shared_(shared),
          observer_(observer),
          number_(number),
          deadline_(shared.loop, [this] { lost({"connect_failed", "no answer in time"}); }),
          retry_(shared.loop, [this] { connect(); }) {
        identity_.agent_id = fmt::format("load-{}", number);
        identity_.app_name = fmt::format("load-{}", number % apps);
        identity_.repo = "bench/load";
        identity_.release_tag = "v1.0.0";
        identity_.network = "sandbox-1";
    }

    void connect() {
        auto socket = connecting_socket(shared_.control.port, number_);
        if (!socket) return lost(socket.error());
        deadline_.arm_after(connect_timeout);
        auto tls =
            shared_.tls ? std::make_unique<net::TlsSession>(shared_.tls, shared_.control.host) : nullptr;
        stream_ = std::make_shared<net::Stream>(shared_.loop, std::move(*socket), *this, std::move(tls));
        stream_->start();
        if (!shared_.tls && stream_) send_upgrade();
    }

private:
    std::span<const std::string_view> offered() const {
        return shared_.v2 ? std::span<const std::string_view>(offered_v2)
                          : std::span<const std::string_view>();
    }

    void on_secured() override { send_upgrade(); }

    void send_upgrade() {
        nonce_ = shared_.random.take<16>();
        const std::string host = shared_.control.authority();
        EE_CHECK(http::append_websocket_request(
            stream_->output(),
            {.target = shared_.control.path, .host = host, .protocols = offered(), .fields = {}}, nonce_));
        stream_->flush_later();
    }

    void on_data(std::span<char> data) override {
        if (!frames_) {
            input_.append(data.data(), data.size());
            take_upgrade_answer();
            return;
        }
        take_frames(data);
    }

    void on_flush() override {
        if (session_ && attested_)
            tunnel::pull_messages(*session_, stream_->output(), stream_->pending_output(),
                                  [this] { return std::optional(mask()); });
    }

    void on_closed(const Error& why) override { lost(why); }

    void lost(const Error& why) {
        if (!shared_.comes_back) stop_with(identity_.agent_id, why);
        ++connection_;
        deadline_.cancel();
        // It may be in one of its calls.
        if (session_) shared_.loop.dispose(std::shared_ptr<http::Http2Session>(std::move(session_)));
        if (stream_) net::Stream::close_in_background(shared_.loop, std::move(stream_));
        stream_.reset();
        frames_.reset();
        input_ = {};
        retry_.arm_after(std::exchange(asked_wait_, {}) + backoff_.next(shared_.random.unit()));
        if (std::exchange(attested_, false)) observer_.on_lost();
    }

    void take_upgrade_answer() {
        http::ResponseParser parser;
        http::ResponseHead head;
        const auto size = parser.parse(input_, http::AskedMethod::other, head);
        if (!size) return lost(size.error());
        if (*size == 0) return;
        const auto checked = http::check_websocket_response(head, nonce_, offered());
        if (!checked) return lost(checked.error());
        if (shared_.v2 != !checked->empty())
            stop_with(identity_.agent_id, {"bad_handshake", "another version of the tunnel"});
        deadline_.cancel();
        frames_.emplace(http::FrameDecoder::Role::client, limits);
        frames_->stream_binary(shared_.v2);
        send_register();
        std::string rest = input_.substr(*size);
        input_ = {};
        take_frames(rest);
    }

    void make_session() {
        http::Http2Settings settings{
            .role = http::Http2Settings::Role::server, .streams_max = streams_max, .connect_protocol = true};
        settings.head = tunnel::head_limits;
        session_ = std::make_unique<http::Http2Session>(settings, *this);
    }

    void send_register() {
        protocol::Register message;
        message.repo = identity_.repo;
        message.release_tag = identity_.release_tag;
        message.app_name = identity_.app_name;
        message.network = identity_.network;
        message.agent_id = identity_.agent_id;
        message.tunnel_version = shared_.v2 ? "2" : "1";
        message.max_requests = 64;
        send(message);
    }

    void take_frames(std::span<char> data) {
        const std::uint64_t connection = connection_;
        while (connection == connection_) {
            std::size_t consumed = 0;
            const auto step = frames_->next(data, consumed);
            data = data.subspan(consumed);
            if (!step) return lost(step.error().error);
            if (!*step) return;
            on_event(**step);
        }
    }

    void on_event(const http::Event& event) {
        if (event.kind == http::Event::Kind::ping) {
            http::append_frame(stream_->output(), http::Opcode::pong, event.payload, mask());
            return stream_->flush_later();
        }
        if (event.kind == http::Event::Kind::close) return lost({"closed", std::string(event.payload)});
        if (event.kind == http::Event::Kind::binary) return take_requests(event.payload);
        if (event.kind != http::Event::Kind::text) return;
        shared_.text.assign(event.payload);
        const auto message = shared_.decoder.decode_control_message(protocol::PaddedText(shared_.text));
        if (!message) stop_with(identity_.agent_id, message.error());
        if (const auto* challenge = std::get_if<protocol::AttestRequest>(&*message)) answer(*challenge);
        if (const auto* status = std::get_if<protocol::Status>(&*message)) take(*status);
    }

    void take_requests(std::string_view bytes) {
        if (!attested_)
            stop_with(identity_.agent_id, {"unattested", "a request came before the attestation"});
        if (!session_) make_session();  // Agents say nothing before.
        if (const auto received = session_->receive(bytes); !received) return lost(received.error());
        stream_->flush_later();
    }

    // Requests are answered, so that visitors see who serves.
    void on_head(http::Http2StreamId id, const http::Http2Head&, bool) override {
        session_->respond(id, {.status = 200, .fields = {}}, "", true);
    }
    void on_body(http::Http2StreamId id, std::string_view bytes) override {
        session_->consume(id, bytes.size());
    }
    void on_end(http::Http2StreamId, std::span<const http::Field>) override {}
    void on_reset(http::Http2StreamId, std::uint32_t) override {}

    void answer(const protocol::AttestRequest& challenge) {
        const Bytes channel = stream_->tls() ? stream_->tls()->channel_binding().value_or(Bytes{}) : Bytes{};
        attestation::SimulatedQuoteRequest wanted;
        wanted.report_data = attestation::report_data_layout2({.nonce = challenge.nonce,
                                                               .agent_key = shared_.key_spki,
                                                               .channel = channel,
                                                               .wire = shared_.v2 ? "2" : "1",
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
        // A thousand of these in a row would keep whoever wakes up meanwhile from this core for a tick of the
        // kernel: agents would be on machines of their own.
        std::this_thread::yield();
    }

    void take(const protocol::Status& status) {
        if (status.retry_after_s) asked_wait_ = std::chrono::seconds(*status.retry_after_s);
        if (status.reconnect_after_ms) asked_wait_ = std::chrono::milliseconds(*status.reconnect_after_ms);
        if (status.state != protocol::StatusState::ok) {
            if (!shared_.comes_back) stop_with(identity_.agent_id, {status.reason, status.detail});
            return;  // The control plane closes the tunnel.
        }
        backoff_.reset();
        if (std::exchange(attested_, true)) return;
        stream_->flush_later();
        observer_.on_attested();
    }

    template <class Message>
    void send(const Message& message) {
        http::append_frame(stream_->output(), http::Opcode::text, protocol::encode(message), mask());
        stream_->flush_later();
    }
    http::MaskKey mask() { return shared_.random.take<4>(); }

    Shared& shared_;
    Observer& observer_;
    const std::size_t number_;
    net::Timer deadline_;  // Of connection and handshake.
    net::Timer retry_;
    Backoff backoff_{reconnect_min, reconnect_max};
    std::chrono::milliseconds asked_wait_{0};  // By the control plane, before the next try.
    std::uint64_t connection_ = 0;
    bool attested_ = false;
    attestation::AgentIdentity identity_;
    Claims measurements_;
    std::shared_ptr<net::Stream> stream_;
    std::optional<http::FrameDecoder> frames_;
    std::unique_ptr<http::Http2Session> session_;  // v2
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
class Load final : net::Watcher, public Tunnel::Observer {
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
        if (attested_ == wanted_ && wanted_ > 0 && command == "come back") {
            shared_.comes_back = true;
            lost_ = 0;
            return begin(wanted_);
        }
        if (!command.starts_with(open) ||
            std::from_chars(command.data() + open.size(), last, count).ptr != last || count == 0 ||
            tunnels_.size() + count > tunnels_max || attested_ < wanted_)
            stop_with("standard input",
                      {"usage", "`open N` or `come back`, when the last one is done, not: " + command});
        wanted_ += count;
        begin(count);
        open_more();
    }

    void begin(std::size_t count) {
        asked_ = count;
        began_ = std::chrono::steady_clock::now();
        cpu_at_begin_ = cpu_seconds();
    }

    void open_more() {
        while (tunnels_.size() < wanted_ && tunnels_.size() - attested_ < at_once_) {
            tunnels_.push_back(std::make_unique<Tunnel>(shared_, tunnels_.size(), *this));
            tunnels_.back()->connect();
        }
    }

    void on_lost() override {
        --attested_;
        ++lost_;
    }

    void on_attested() override {
        ++attested_;
        if (attested_ < wanted_) return open_more();
        if (shared_.comes_back && lost_ < wanted_) return;
        shared_.comes_back = false;
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
    std::size_t lost_ = 0;
    std::chrono::steady_clock::time_point began_{};
    double cpu_at_begin_ = 0;
    std::string commands_;
};

struct Arguments {
    bool v2 = true;
    std::optional<std::string> ca{};
    std::string control{};
    std::string platform{};
    std::size_t at_once = 64;
};

std::optional<Arguments> parse(std::vector<std::string> words) {
    Arguments arguments;
    const auto take_first = [&] {
        std::string word = words.empty() ? std::string() : words.front();
        if (!words.empty()) words.erase(words.begin());
        return word;
    };
    while (!words.empty() && words.front().starts_with("--")) {
        const std::string option = take_first();
        if (option == "--v1")
            arguments.v2 = false;
        else if (option == "--ca" && !words.empty())
            arguments.ca = take_first();
        else
            return std::nullopt;
    }
    arguments.control = take_first();
    arguments.platform = take_first();
    if (!words.empty()) arguments.at_once = std::strtoul(take_first().c_str(), nullptr, 10);
    if (!words.empty() || arguments.platform.empty() || arguments.at_once == 0) return std::nullopt;
    return arguments;
}

int run(int argc, char** argv) {
    const auto arguments = parse({argv + 1, argv + argc});
    if (!arguments) {
        fmt::print(stderr,
                   "usage: tunnel_load [--v1] [--ca PEM] CONTROL_URL SIMULATED_TDX_DIR [AT_ONCE=64]\n");
        return 2;
    }
    auto control = net::parse_url(arguments->control);
    if (!control) stop_with(arguments->control, control.error());
    if (!control->is_loopback()) stop_with(arguments->control, {"invalid_url", "it must be on loopback"});
    auto platform = attestation::load_simulated_platform(arguments->platform);
    if (!platform) stop_with(arguments->platform, platform.error());
    std::shared_ptr<const net::TlsContext> tls;
    if (control->scheme == "wss") {
        auto made = net::TlsContext::client(arguments->ca.value_or(""));
        if (!made) stop_with(arguments->ca.value_or("the system's roots"), made.error());
        tls = std::move(*made);
    }
    std::signal(SIGPIPE, SIG_IGN);
    net::raise_descriptor_limit();
    net::Loop loop;
    Shared shared{.loop = loop,
                  .control = std::move(*control),
                  .tls = std::move(tls),
                  .v2 = arguments->v2,
                  .platform = std::move(*platform)};
    Load load(shared, arguments->at_once);
    loop.run();
    return 0;
}

}  // namespace
}  // namespace ee::bench

int main(int argc, char** argv) {
    return ee::bench::run(argc, argv);
}
