#pragma once
// An HTTP/1.1 client (RFC 9112) over the loop: one request a connection, its answer whole and bounded.
// For what the control plane asks of others and tells them: collateral, releases, webhooks. Redirects are the
// caller's to judge.

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "http/client_connection.h"
#include "http/whole_answer.h"
#include "net/url.h"

namespace ee::http {

struct ClientField {
    std::string name;
    std::string value;
};

struct ClientRequest {
    net::Url url{};                     // http or https; its path with the query
    std::string method{"GET"};          // any but HEAD and CONNECT
    std::vector<ClientField> fields{};  // besides those the client writes: Host, Connection, User-Agent, and
                                        // of other methods than GET Content-Length
    std::string body{};                 // of those
    bool is_path_secret = false;        // errors name the host alone, as of a webhook
    std::size_t body_bytes_max = 1024 * 1024;
    // From the call, a wait for its turn included, to the last byte.
    std::chrono::milliseconds timeout{10'000};
};

struct ClientAnswer {
    int status = 0;
    std::vector<ClientField> fields;
    std::string body;

    // The first field of this name, in any case.
    std::optional<std::string_view> field(std::string_view name) const;
};

// Exactly one call. Refusals: `unreachable` (name, connection or TLS; too many requests wait), `timed_out`,
// `bad_response` (not HTTP, cut short, or over a limit), `bad_request` (cannot be written as HTTP/1.1, or is
// not http or https). The detail names host and path (the host alone where the path is secret), never the
// query or a field, which may hold secrets.
using OnClientAnswer = std::function<void(Result<ClientAnswer>)>;

// How a request is made: http::Client in production, a script in tests. Never calls back from within the
// call.
using Fetch = std::function<void(ClientRequest request, OnClientAnswer on_answer)>;

struct ClientLimits {
    std::size_t requests_max = 64;  // at once, each with a connection of its own
    std::size_t queue_max = 1024;   // requests that wait for their turn
};

// Belongs to the loop's thread, and so do its callbacks. When it is destroyed, which must not
// happen within a callback, requests under way end without one.
class Client final {
public:
    // `tls`: the roots and rules by which https servers are checked, names included. `workers` look up names,
    // each once for all who wait for it.
    Client(net::Loop& loop, net::WorkerPool& workers, std::shared_ptr<const net::TlsContext> tls,
           ClientLimits limits = {});
    ~Client();

    // An answer of any status is an answer.
    void send(ClientRequest request, OnClientAnswer on_answer);

    std::size_t requests_open() const { return calls_.size(); }
    std::size_t requests_waiting() const { return queue_.size(); }

private:
    struct Call;
    void refuse_later(const ClientRequest& request, OnClientAnswer on_answer, Error error);
    void start(std::shared_ptr<Call> call);
    void expire(const Call& waiting);
    void finish(Call& call, Result<ClientAnswer> answer);

    net::Loop& loop_;
    net::Resolver resolver_;
    std::shared_ptr<const net::TlsContext> tls_;
    ClientLimits limits_;
    std::deque<std::shared_ptr<Call>> queue_;
    std::unordered_map<Call*, std::shared_ptr<Call>> calls_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace ee::http
