#include "http/client.h"

#include <algorithm>

#include "base/check.h"
#include "http/fields.h"
#include "http/http1_writer.h"

namespace ee::http {
namespace {

// "https://host/path", without the query: a redirect's often holds a signature.
std::string name_of(const ClientRequest& request) {
    const net::Url& url = request.url;
    std::string name = url.scheme + "://" + url.authority();
    if (!request.is_path_secret) name += url.path.substr(0, url.path.find('?'));
    return name;
}

Result<std::string> request_text(const ClientRequest& request) {
    if (request.url.scheme != "http" && request.url.scheme != "https")
        return fail("bad_request", "the scheme is " + request.url.scheme + ", not http or https");
    std::string text;
    const std::string& path = request.url.path;
    bool written = append_request_line(text, request.method, path.empty() ? "/" : path) &&
                   append_field(text, "Host", request.url.authority()) &&
                   append_field(text, "Connection", "close") &&
                   append_field(text, "User-Agent", "easyenclave");
    for (const ClientField& field : request.fields)
        written = written && append_field(text, field.name, field.value);
    if (!written) return fail("bad_request", "path or fields cannot be written as HTTP/1.1");
    if (request.method != "GET") append_content_length(text, request.body.size());
    return text.append("\r\n").append(request.body);
}

const char* error_code(RequestFailure failure) {
    switch (failure) {
        case RequestFailure::connecting: return "unreachable";
        case RequestFailure::timed_out: return "timed_out";
        default: return "bad_response";
    }
}

ClientAnswer copy_of(const AnswerView& view) {
    ClientAnswer answer{.status = view.head.status, .fields = {}, .body = std::string(view.body)};
    answer.fields.reserve(view.head.fields.size());
    for (const Field& field : view.head.fields)
        answer.fields.push_back({std::string(field.name), std::string(field.value)});
    return answer;
}

}  // namespace

std::optional<std::string_view> ClientAnswer::field(std::string_view name) const {
    for (const ClientField& field : fields)
        if (iequals(field.name, name)) return field.value;
    return std::nullopt;
}

struct Client::Call final : WholeAnswer::Receiver {
    Call(Client& asking, ClientRequest asked, OnClientAnswer callback, std::string request_text)
        : client(asking),
          request(std::move(asked)),
          answered(std::move(callback)),
          text(std::move(request_text)),
          answer(request.body_bytes_max, *this),
          due(client.loop_.now() + request.timeout),
          waiting(client.loop_, [this] { client.expire(*this); }) {}

    void on_answer(const AnswerView& view) override { client.finish(*this, copy_of(view)); }
    void on_failure(RequestFailure failure, const std::string& why) override {
        client.finish(*this, fail(error_code(failure), name_of(request) + ": " + why));
    }

    Client& client;
    ClientRequest request;
    OnClientAnswer answered;
    std::string text;
    WholeAnswer answer;
    MonoTime due;
    net::Timer waiting;  // Armed while it waits for its turn.
    std::unique_ptr<ClientConnection> connection;
};

Client::Client(net::Loop& loop, net::WorkerPool& workers, std::shared_ptr<const net::TlsContext> tls,
               ClientLimits limits)
    : loop_(loop), resolver_(loop, workers), tls_(std::move(tls)), limits_(limits) {}

Client::~Client() {
    *alive_ = false;
}

void Client::send(ClientRequest request, OnClientAnswer on_answer) {
    Result<std::string> text = request_text(request);
    if (!text) return refuse_later(request, std::move(on_answer), std::move(text.error()));
    const bool must_wait = calls_.size() >= limits_.requests_max;
    if (must_wait && queue_.size() >= limits_.queue_max)
        return refuse_later(
            request, std::move(on_answer),
            {"unreachable", "as many requests wait for their turn as may: " + std::to_string(queue_.size())});
    auto call = std::make_shared<Call>(*this, std::move(request), std::move(on_answer), std::move(*text));
    if (!must_wait) return start(std::move(call));
    call->waiting.arm_at(call->due);
    queue_.push_back(std::move(call));
}

void Client::refuse_later(const ClientRequest& request, OnClientAnswer on_answer, Error error) {
    error.detail = name_of(request) + ": " + error.detail;
    loop_.post([alive = alive_, on_answer = std::move(on_answer), error = std::move(error)] {
        if (*alive) on_answer(fail(error));
    });
}

void Client::start(std::shared_ptr<Call> call) {
    call->waiting.cancel();
    Call& started = *call;
    started.connection =
        std::make_unique<ClientConnection>(loop_, resolver_, started.request.url,
                                           started.request.url.scheme == "https" ? tls_ : nullptr, nullptr);
    started.answer.expect_from(*started.connection);
    calls_.emplace(&started, std::move(call));
    started.connection->begin({.text = std::move(started.text),
                               .deadline = OutgoingRequest::Deadline::whole,
                               .time = started.due - loop_.now()},
                              started.answer);
}

// The call has ended, and another may begin. Its connection may be on the stack: the loop lets go of it at
// the end of the turn.
void Client::finish(Call& call, Result<ClientAnswer> answer) {
    const auto found = calls_.find(&call);
    EE_CHECK(found != calls_.end());
    const std::shared_ptr<Call> ended = std::move(found->second);
    calls_.erase(found);
    ended->connection->cancel();
    loop_.dispose(ended);
    if (!queue_.empty()) {
        std::shared_ptr<Call> next = std::move(queue_.front());
        queue_.pop_front();
        start(std::move(next));
    }
    ended->answered(std::move(answer));
}

void Client::expire(const Call& waiting) {
    const auto found = std::find_if(queue_.begin(), queue_.end(), [&](const std::shared_ptr<Call>& call) {
        return call.get() == &waiting;
    });
    EE_CHECK(found != queue_.end());
    const std::shared_ptr<Call> call = std::move(*found);
    queue_.erase(found);
    loop_.dispose(call);
    call->answered(fail("timed_out", name_of(call->request) + ": other requests took all of its time"));
}

}  // namespace ee::http
