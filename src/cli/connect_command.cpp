#include "cli/connect_command.h"

#include <charconv>
#include <chrono>
#include <cstring>
#include <mutex>
#include <ostream>
#include <semaphore>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/ip_address.h"
#include "base/json_writer.h"
#include "cli/relay.h"
#include "cli/sealed_verification.h"
#include "crypto/digest.h"

namespace ee::cli {
namespace {

// Connections that --listen carries at once; others wait.
constexpr std::ptrdiff_t carried_max = 64;

// Whom to reach, and what it must be.
struct Target {
    std::string app;
    std::string server_name;
    net::Url via;
    QuoteTerms terms;
};

Result<Target> read_target(const ConnectOptions& options, const Context& context) {
    Target target;
    const std::size_t dot = options.app.find('.');
    target.app = options.app.substr(0, dot);
    std::string domain = dot == std::string::npos ? options.domain : options.app.substr(dot + 1);
    if (domain.empty()) domain = context.environment("EE_APP_DOMAIN").value_or("");
    if (domain.empty())
        return fail("usage",
                    "which domain the apps are under is not known: give <app>.<domain>, --domain or "
                    "EE_APP_DOMAIN");
    target.server_name = target.app + "." + domain;
    const auto via = net::parse_url("https://" + (options.via.empty() ? target.server_name : options.via));
    if (!via || !via->path.empty())
        return fail("usage", "--via takes HOST:PORT, not \"" + options.via + "\"");
    target.via = *via;
    QuoteTermsOptions terms = options.terms;
    if (terms.network.empty() && terms.policy.empty()) terms.network = "forge-1";
    if (terms.allowlist.empty())
        return fail("usage", "--allowlist is missing: the allowlist of the release that you trust");
    if (terms.collateral.empty())
        return fail("usage",
                    "--collateral is missing: what Intel publishes about the platform, see `eectl evidence "
                    "fetch`");
    auto read = read_quote_terms(terms);
    if (!read) return fail(std::move(read.error()));
    target.terms = std::move(*read);
    return target;
}

int refuse(const ConnectOptions& options, const Error& why, Context& context) {
    if (options.json) {
        std::string text;
        JsonWriter(text)
            .begin_object()
            .field("result", "refused")
            .field("code", why.code)
            .field("detail", why.detail)
            .end_object();
        (options.check ? context.out : context.err) << text << std::endl;
    } else {
        context.err << fmt::format("eectl: {}: {}\n", why.code, why.detail) << std::flush;
    }
    return exit_refused;
}

// What was verified goes to standard output where that carries nothing else.
void report(const ConnectOptions& options, const Target& target, const SealedVerdict& verdict,
            Context& context) {
    std::ostream& out = options.check ? context.out : context.err;
    if (options.json) {
        out << verdict_json(target.app, verdict) << std::endl;
    } else if (options.check) {
        const auto& named = *verdict.certificate.identity;
        out << fmt::format(
            "ok: {} is {} of {} on {}, TCB {}, its key in the TD and this connection bound to it\n",
            target.app, named.release_tag, named.repo, named.network,
            to_string(verdict.fresh.quote->tcb().status));
    }
}

// A connection whose other end has proven what it is.
struct Connected {
    std::unique_ptr<SealedConnection> connection;
    SealedVerdict verdict;
};

Result<Connected> connect(const Target& target, WallTime now) {
    auto connection = SealedConnection::open(target.via, target.server_name);
    if (!connection) return fail(std::move(connection.error()));
    auto verdict = verify_sealed(**connection, target.app, crypto::random_bytes<32>(), target.terms, now);
    if (!verdict) return fail(std::move(verdict.error()));
    return Connected{std::move(*connection), std::move(*verdict)};
}

// The listening socket, and where it listens.
Result<Socket> listen_at(const std::string& where, std::string& address) {
    const std::size_t colon = std::min(where.rfind(':'), where.size());
    const auto ip = IpAddress::parse(where.substr(0, colon));
    const std::string digits = where.substr(std::min(colon + 1, where.size()));
    std::uint16_t port = 0;  // 0 takes any free one.
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (!ip || !ip->is_v4() || error != std::errc{} || stop != digits.data() + digits.size())
        return fail("usage", "--listen takes an IPv4 ADDRESS:PORT, not \"" + where + "\"");
    sockaddr_in wanted{};
    wanted.sin_family = AF_INET;
    wanted.sin_port = htons(port);
    std::memcpy(&wanted.sin_addr, ip->bytes().data() + 12, 4);
    Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t size = sizeof wanted;
    auto* generic = reinterpret_cast<sockaddr*>(&wanted);
    if (::bind(socket.fd(), generic, size) != 0 || ::listen(socket.fd(), 64) != 0 ||
        ::getsockname(socket.fd(), generic, &size) != 0)
        return fail("local_failed", fmt::format("cannot listen on {}: {}", where, std::strerror(errno)));
    address = fmt::format("{}:{}", ip->to_string(), ntohs(wanted.sin_port));
    return socket;
}

void carry(const Socket& local, WallTime now, const ConnectOptions& options, const Target& target,
           Context& context, std::mutex& output) {
    auto connected = connect(target, now);
    {
        const std::lock_guard lock(output);
        if (connected) report(options, target, connected->verdict, context);
        if (!connected) refuse(options, connected.error(), context);
    }
    if (connected && relay(*connected->connection, {local.fd(), local.fd(), true})) return;
    // The local side must not take what it has for all there is.
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(local.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

// Until it is killed: each connection that comes is carried over one of its own, verified like the first.
int serve(const ConnectOptions& options, const Target& target, Context& context) {
    std::string address;
    const auto listening = listen_at(options.listen, address);
    if (!listening && listening.error().code == "usage") {
        context.err << "eectl: " << listening.error().detail << '\n';
        return exit_usage;
    }
    if (!listening) return refuse(options, listening.error(), context);
    context.err << "eectl: listening on " << address << std::endl;
    const auto began = std::chrono::steady_clock::now();
    std::counting_semaphore<carried_max> room(carried_max);
    std::mutex output;
    for (;;) {
        room.acquire();
        const int accepted = ::accept4(listening->fd(), nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) {
            room.release();
            if (errno == EINTR || errno == ECONNABORTED) continue;
            const Error why{"local_failed", std::strerror(errno)};
            for (std::ptrdiff_t i = 0; i < carried_max; ++i)
                room.acquire();  // Those under way use all of this.
            return refuse(options, why, context);
        }
        std::thread([&, visitor = std::make_shared<Socket>(accepted)] {
            const auto passed = std::chrono::steady_clock::now() - began;
            carry(*visitor, context.now + std::chrono::duration_cast<WallTime::duration>(passed), options,
                  target, context, output);
            room.release();
        }).detach();
    }
}

}  // namespace

int run_connect(const ConnectOptions& options, Context& context) {
    const auto target = read_target(options, context);
    if (!target && !is_verdict(target.error())) {
        context.err << "eectl: " << target.error().detail << '\n';
        return exit_usage;
    }
    if (!target) return refuse(options, target.error(), context);
    if (!options.listen.empty() && !options.check) return serve(options, *target, context);
    const auto connected = connect(*target, context.now);
    if (!connected) return refuse(options, connected.error(), context);
    report(options, *target, connected->verdict, context);
    if (options.check) return exit_good;
    if (const auto carried = relay(*connected->connection, {STDIN_FILENO, STDOUT_FILENO, false}); !carried)
        return refuse(options, carried.error(), context);
    return exit_good;
}

}  // namespace ee::cli
