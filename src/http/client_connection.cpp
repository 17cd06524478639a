#include "http/client_connection.h"

#include "base/check.h"

namespace ee::http {
namespace {

constexpr std::chrono::seconds connect_timeout{5};

}  // namespace

ClientConnection::ClientConnection(net::Loop& loop, net::WorkerPool& workers, net::Url target,
                                   std::shared_ptr<const net::TlsContext> tls, std::size_t body_bytes_max,
                                   Observer& observer)
    : loop_(loop),
      target_(std::move(target)),
      tls_(std::move(tls)),
      body_bytes_max_(body_bytes_max),
      observer_(observer),
      connector_(loop, workers),
      deadline_(loop, [this] { fail_request(Failure::timed_out, "the server did not answer in time"); }) {}

void ClientConnection::send(std::string request, AskedMethod asked, std::chrono::nanoseconds timeout) {
    EE_CHECK(!busy_);
    busy_ = true;
    answer_began_ = false;
    in_body_ = false;
    asked_ = asked;
    deadline_.arm_after(timeout);
    if (stream_) {
        used_before_ = true;
        return stream_->write(request);
    }
    request_ = std::move(request);
    connector_.connect(target_, connect_timeout,
                       [this](Result<net::Fd> socket) { connected(std::move(socket)); });
}

void ClientConnection::connected(Result<net::Fd> socket) {
    if (!socket) return fail_request(Failure::connecting, socket.error().detail);
    auto session = tls_ ? std::make_unique<net::TlsSession>(tls_, target_.host) : nullptr;
    stream_ = std::make_unique<net::Stream>(loop_, std::move(*socket), *this, std::move(session));
    stream_->start();
    stream_->write(request_);
    request_ = {};
}

void ClientConnection::abort() {
    busy_ = false;
    reusable_ = false;
    deadline_.cancel();
    connector_.cancel();
    if (stream_) stream_->abort();
}

void ClientConnection::on_data(std::span<char> data) {
    std::string_view input(data.data(), data.size());
    if (!busy_) return observer_.on_idle_close(*this);  // An answer to no request.
    answer_began_ = true;
    if (in_body_) return take_body(input);
    if (!input_.empty()) {
        input_.append(input);
        input = input_;
    }
    for (;;) {
        const auto size = parser_.parse(input, asked_, head_);
        if (!size)
            return fail_request(Failure::broken, "the answer is not valid HTTP: " + size.error().detail);
        if (*size == 0) {
            if (input.data() != input_.data()) input_.assign(input);
            return;
        }
        const std::string_view rest = input.substr(*size);
        if (head_.interim()) {
            input = rest;
            if (!input.empty()) continue;
            return input_.clear();
        }
        if (head_.status == 101)
            return fail_request(Failure::broken, "the server switches protocols, which nobody asked for");
        if (head_.framing == Framing::length && head_.content_length > body_bytes_max_) return refuse_size();
        if (head_.framing == Framing::none) {
            reusable_ = head_.keep_alive && rest.empty();
            return complete({});
        }
        if (head_.framing == Framing::length && rest.size() == head_.content_length) {
            reusable_ = head_.keep_alive;
            return complete(rest);  // The common case: no copy.
        }
        // The head has to outlive this input.
        const std::string body_start(rest);
        head_text_.assign(input.substr(0, *size));
        ResponseParser again;
        EE_CHECK(again.parse(head_text_, asked_, head_).has_value());
        input_.clear();
        decoder_ = BodyDecoder(head_);
        body_.clear();
        if (head_.framing == Framing::length && head_.content_length <= body_bytes_max_)
            body_.reserve(static_cast<std::size_t>(head_.content_length));
        in_body_ = true;
        return take_body(body_start);
    }
}

void ClientConnection::take_body(std::string_view input) {
    while (!decoder_.done() && !input.empty()) {
        const auto step = decoder_.next(input);
        if (!step)
            return fail_request(Failure::broken,
                                "the answer is not framed as it says: " + step.error().detail);
        if (body_.size() + step->data.size() > body_bytes_max_) return refuse_size();
        body_.append(step->data);
        input.remove_prefix(step->consumed);
    }
    if (!decoder_.done()) return;
    reusable_ = head_.keep_alive && input.empty();
    complete(body_);
}

void ClientConnection::refuse_size() {
    fail_request(Failure::broken,
                 "the answer has more than the " + std::to_string(body_bytes_max_) + " bytes allowed");
}

// Head and body may point into input_.
void ClientConnection::complete(std::string_view body) {
    deadline_.cancel();
    busy_ = false;
    observer_.on_answer(*this, {head_, body});
    in_body_ = false;
    input_.clear();
    if (body_.capacity() > 64 * 1024) body_ = {};
}

void ClientConnection::on_secured() {
    secured_ = true;
}

void ClientConnection::on_closed(const Error& why) {
    reusable_ = false;
    if (!busy_) return observer_.on_idle_close(*this);
    // Only a clean end ends a body: after a reset nobody knows what was still to come.
    if (in_body_ && why.code == "closed" && decoder_.finish().has_value()) return complete(body_);
    if (stream_->tls() != nullptr && !secured_)
        return fail_request(Failure::connecting, "no TLS session: " + why.detail);
    fail_request(answer_began_ ? Failure::broken : Failure::silent,
                 "the server closed the connection: " + why.detail);
}

void ClientConnection::fail_request(Failure failure, const std::string& why) {
    if (!busy_) return;
    abort();
    observer_.on_failure(*this, failure, why);
}

}  // namespace ee::http
