// Requests to a control plane over HTTP/1.1, by connections that are kept: the load of the ledger's
// benchmarks.
//
//   ledger_load PORT ADMIN-TOKEN
//
// Standard input takes commands, each answered with one line of JSON:
//
//   prepare ACCOUNTS                    opens them, with 1000 USD each
//   transfers CONNECTIONS SECONDS [RATE]   of 0.000001 USD between random accounts, each by who pays
//   hot CONNECTIONS SECONDS             the same, all of them from one account
//   balances CONNECTIONS SECONDS [RATE] GET /v1/balances/{account} of random accounts, each by its own token
//   health CONNECTIONS SECONDS [RATE]   GET /health
//   sync SECONDS RATE FILE              no request: a block more in a file, and fdatasync
//
// Without RATE each connection asks again once it has its answer. With it, so many requests a second are due,
// and each one's time counts from when it was due. Any answer but 2xx ends the program with 1. Loads with '|'
// between them run side by side, each with a thread of its own, and are answered in their order.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <functional>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t preparing_connections = 64;
constexpr std::string_view length_field = "\r\nContent-Length: ";

[[noreturn]] void fail(std::string_view what) {
    fmt::print(stderr, "ledger_load: {}\n", what);
    std::exit(1);
}

std::string post(std::string_view path, std::string_view token, std::string_view key, std::string_view body) {
    return fmt::format(
        "POST {} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {}\r\n"
        "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        path, token, key, body.size(), body);
}

class Connection {
public:
    explicit Connection(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("no connection");
        const int on = 1;
        ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    Connection(Connection&& other) noexcept
        : due(other.due), answer(std::move(other.answer)), fd_(std::exchange(other.fd_, -1)) {}
    ~Connection() {
        if (fd_ >= 0) ::close(fd_);
    }

    int fd() const { return fd_; }

    // A request is far smaller than a socket's buffer.
    void send(const std::string& request, Clock::time_point is_due) {
        due = is_due;
        answer.clear();
        if (::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
            fail("a request was not sent");
    }

    // Whether the answer is complete.
    bool receive() {
        char buffer[32768];
        const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
        if (got <= 0) fail("the control plane closed a connection");
        answer.append(buffer, static_cast<std::size_t>(got));
        const std::size_t head = answer.find("\r\n\r\n");
        if (head == std::string::npos) return false;
        const std::size_t field = answer.find(length_field);
        if (field == std::string::npos || field > head) fail("an answer without a length: " + answer);
        const std::size_t length = std::strtoull(&answer[field + length_field.size()], nullptr, 10);
        if (answer.size() < head + 4 + length) return false;
        if (!answer.starts_with("HTTP/1.1 2")) fail("refused: " + answer);
        return true;
    }

    Clock::time_point due{};
    std::string answer;

private:
    int fd_;
};

struct Load {
    std::size_t connections = 1;
    double seconds = 0;                 // 0: until `next` has no more
    double rate = 0;                    // 0: closed loop
    std::function<std::string()> next;  // empty: no more
    std::function<void(const std::string&)> on_answer = [](const std::string&) {};
};

struct Figures {
    std::vector<double> times_us;
    double seconds = 0;

    double quantile(double part) {
        if (times_us.empty()) return 0;
        std::ranges::sort(times_us);
        return times_us[std::min(times_us.size() - 1,
                                 static_cast<std::size_t>(part * static_cast<double>(times_us.size())))];
    }
};

class Running {
public:
    Running(std::uint16_t port, const Load& load)
        : load_(load), epoll_(::epoll_create1(EPOLL_CLOEXEC)), start_(Clock::now()) {
        for (std::size_t i = 0; i < load.connections; ++i) {
            connections_.emplace_back(port);
            epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
            ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_.back().fd(), &event);
            idle_.push_back(i);
        }
        start_ = Clock::now();
    }
    ~Running() { ::close(epoll_); }

    Figures run() {
        Figures figures;
        for (;;) {
            send_what_is_due();
            if (over_ && idle_.size() == connections_.size()) break;
            wait(figures);
        }
        figures.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
        return figures;
    }

private:
    Clock::time_point due_at(std::uint64_t number) const {
        return start_ + std::chrono::duration_cast<Clock::duration>(
                            std::chrono::duration<double>(static_cast<double>(number) / load_.rate));
    }
    void send_what_is_due() {
        while (!idle_.empty() && !over_) {
            const Clock::time_point now = Clock::now();
            const Clock::time_point due = load_.rate > 0 ? due_at(sent_) : now;
            if (load_.seconds > 0 && std::chrono::duration<double>(due - start_).count() >= load_.seconds) {
                over_ = true;
                return;
            }
            if (due > now) return;
            const std::string request = load_.next();
            if (request.empty()) {
                over_ = true;
                return;
            }
            connections_[idle_.front()].send(request, due);
            idle_.pop_front();
            ++sent_;
        }
    }
    void wait(Figures& figures) {
        timespec patience{.tv_sec = 10, .tv_nsec = 0};
        const bool is_paced = load_.rate > 0 && !over_ && !idle_.empty();
        if (is_paced) {
            const auto left = std::max(Clock::duration(0), due_at(sent_) - Clock::now());
            patience = {.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
        }
        epoll_event ready[128];
        const int count = ::epoll_pwait2(epoll_, ready, 128, &patience, nullptr);
        if (count == 0 && !is_paced) fail("no answer within 10 s");
        for (int i = 0; i < count; ++i) {
            Connection& connection = connections_[ready[i].data.u64];
            if (!connection.receive()) continue;
            figures.times_us.push_back(
                std::chrono::duration<double, std::micro>(Clock::now() - connection.due).count());
            load_.on_answer(connection.answer);
            idle_.push_back(ready[i].data.u64);
        }
    }

    const Load& load_;
    int epoll_;
    Clock::time_point start_;
    std::vector<Connection> connections_;
    std::deque<std::size_t> idle_;
    std::uint64_t sent_ = 0;
    bool over_ = false;
};

class Books {
public:
    Books(std::uint16_t port, std::string admin) : port_(port), admin_(std::move(admin)) {}

    void prepare(std::size_t count) {
        tokens_.clear();
        std::size_t opened = 0;
        Load load{.connections = preparing_connections, .next = {}};
        load.next = [&]() -> std::string {
            if (opened == count) return {};
            return post("/v1/accounts", admin_, key(),
                        fmt::format(R"({{"account_id":"{}"}})", name(opened++)));
        };
        load.on_answer = [&](const std::string& answer) {
            // Answers come in any order.
            tokens_.resize(count);
            const std::string id = member(answer, R"("account_id":")");
            tokens_[std::strtoull(id.substr(1).c_str(), nullptr, 10)] = member(answer, R"("token":")");
        };
        Running(port_, load).run();
        std::size_t bought = 0;
        load.on_answer = [](const std::string&) {};
        load.next = [&]() -> std::string {
            if (bought == count) return {};
            return post("/v1/credits/purchase", admin_, key(),
                        fmt::format(R"({{"account_id":"{}","amount_usd":"1000"}})", name(bought++)));
        };
        Running(port_, load).run();
    }

    std::string transfer(bool hot) {
        const std::size_t from = hot ? 0 : random_() % tokens_.size();
        const std::size_t to = (from + 1 + random_() % (tokens_.size() - 1)) % tokens_.size();
        return post("/v1/credits/transfer", tokens_[from], key(),
                    fmt::format(R"({{"from_account":"{}","to_account":"{}","amount_usd":"0.000001"}})",
                                name(from), name(to)));
    }
    // May run beside transfers.
    std::string balance() {
        const std::size_t of = random_reads_() % tokens_.size();
        return fmt::format("GET /v1/balances/{} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n",
                           name(of), tokens_[of]);
    }
    bool is_prepared() const { return tokens_.size() > 1; }

private:
    static std::string name(std::size_t account) { return fmt::format("a{:08}", account); }
    std::string key() { return fmt::format("{:08x}-{}", run_, ++keys_); }
    static std::string member(const std::string& answer, std::string_view before) {
        const std::size_t start = answer.find(before);
        if (start == std::string::npos) fail("an answer without " + std::string(before));
        const std::size_t from = start + before.size();
        return answer.substr(from, answer.find('"', from) - from);
    }

    const std::uint16_t port_;
    const std::string admin_;
    const unsigned run_ = std::random_device()();
    std::uint64_t keys_ = 0;
    std::vector<std::string> tokens_;
    std::mt19937_64 random_{1}, random_reads_{2};
};

// `line`: of a load.
Load load_of(const std::string& line, Books& books) {
    std::istringstream words(line);
    std::string command;
    Load load{.next = [] { return std::string("GET /health HTTP/1.1\r\nHost: bench\r\n\r\n"); }};
    words >> command >> load.connections >> load.seconds;
    if (!words || load.connections == 0) fail("unknown: " + line);
    words >> load.rate;
    if (command == "health") return load;
    if (!books.is_prepared()) fail("prepare comes first");
    if (command == "balances")
        load.next = [&books] { return books.balance(); };
    else
        load.next = [&books, hot = command == "hot"] { return books.transfer(hot); };
    return load;
}

std::vector<Figures> run_side_by_side(std::uint16_t port, const std::vector<Load>& loads) {
    std::vector<Figures> figures(loads.size());
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < loads.size(); ++i)
        threads.emplace_back([&, i] { figures[i] = Running(port, loads[i]).run(); });
    threads.clear();  // Waits for each.
    return figures;
}

// What any commit that is on disk when it is answered takes at least.
Figures sync_blocks(double seconds, double rate, const std::string& path) {
    constexpr std::size_t block_bytes = 4096, file_bytes = 64u << 20;
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::vector<char> blocks(file_bytes, 'x');  // A log that is written anew does not grow.
    if (file < 0 || ::pwrite(file, blocks.data(), file_bytes, 0) < 0 || ::fsync(file) != 0)
        fail("cannot write " + path);
    Figures figures{.times_us = {}, .seconds = seconds};
    const auto start = Clock::now();
    for (std::size_t i = 0; static_cast<double>(i) < seconds * rate; ++i) {
        const auto due = start + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(static_cast<double>(i) / rate));
        std::this_thread::sleep_until(due);
        const auto at = static_cast<off_t>(i * block_bytes % file_bytes);
        if (::pwrite(file, blocks.data(), block_bytes, at) < 0 || ::fdatasync(file) != 0)
            fail("cannot write " + path);
        figures.times_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - due).count());
    }
    ::close(file);
    return figures;
}

void tell(Figures figures) {
    fmt::print("{{\"requests\":{},\"rate\":{:.1f},\"p50_us\":{:.1f},\"p99_us\":{:.1f},\"max_us\":{:.1f}}}\n",
               figures.times_us.size(), static_cast<double>(figures.times_us.size()) / figures.seconds,
               figures.quantile(0.5), figures.quantile(0.99), figures.quantile(1));
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) fail("usage: ledger_load PORT ADMIN-TOKEN");
    const auto port = static_cast<std::uint16_t>(std::atoi(arguments[1]));
    Books books(port, arguments[2]);
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command;
        words >> command;
        if (command == "prepare") {
            std::size_t accounts = 0;
            words >> accounts;
            if (accounts < 2) fail("at least two accounts");
            books.prepare(accounts);
            tell({.times_us = {}, .seconds = 1});
            continue;
        }
        if (command == "sync") {
            double seconds = 0, rate = 0;
            std::string path;
            words >> seconds >> rate >> path;
            if (!words || rate <= 0) fail("unknown: " + line);
            tell(sync_blocks(seconds, rate, path));
            continue;
        }
        std::vector<Load> loads;
        std::istringstream parts(line);
        for (std::string part; std::getline(parts, part, '|');) loads.push_back(load_of(part, books));
        for (Figures& figures : run_side_by_side(port, loads)) tell(std::move(figures));
    }
}
