#include "agent/http1_call.h"

namespace ee::agent {

using http::RequestFailure;

void Http1Backend::Call::begin(Result<http::OutgoingRequest> request, bool may_send_again) {
    self_ = shared_from_this();
    ++backend_.open_;
    backend_.calls_.push_back(*this);
    if (!request) {
        return backend_.loop_.post([call = weak_from_this(), why = request.error().detail] {
            const std::shared_ptr<Call> open = call.lock();
            if (open && !open->ended()) open->end_with(RequestFailure::unwritable, why);
        });
    }
    connection_ = &backend_.take_connection(false);
    const bool is_kept = may_send_again && connection_->has_connected();
    connection_->begin(*request, *this);
    if (is_kept) again_ = std::move(*request);
}

void Http1Backend::Call::own(std::unique_ptr<WholeCall> whole) {
    whole_ = std::move(whole);
    whole_->answer().expect_from(*this);
}

// ---- The request ----

bool Http1Backend::Call::send_body(std::string_view bytes) {
    if (connection_ == nullptr || connection_->send_body(bytes)) return true;
    cancel();
    return false;
}

bool Http1Backend::Call::end_body(std::span<const http::Field> trailers) {
    if (connection_ == nullptr || connection_->end_body(trailers)) return true;
    cancel();
    return false;
}

void Http1Backend::Call::cancel() {
    if (ended()) return;
    if (connection_ != nullptr) backend_.release(*connection_);
    end();
}

// ---- The answer ----

void Http1Backend::Call::on_end(std::span<const http::Field> trailers) {
    http::ClientConnection& connection = *connection_;
    end();
    observer_.on_end(trailers);
    backend_.keep_or_release(connection);
}

void Http1Backend::Call::on_failure(RequestFailure failure, const std::string& why) {
    const bool was_kept = connection_->used_before();
    backend_.release(*connection_);
    // A kept connection that ends without a byte was most likely closed before our request came.
    if (failure == RequestFailure::silent && was_kept && !again_.text.empty()) {
        connection_ = &backend_.take_connection(true);
        return connection_->begin(std::exchange(again_, {}), *this);
    }
    end_with(failure, why);
}

void Http1Backend::Call::on_upgraded(const http::ResponseHead& head, std::unique_ptr<net::Stream> stream) {
    backend_.release(*connection_);
    if (is_websocket_answer(head, websocket_key_)) {
        end();
        return observer_.on_upgraded(head, std::move(stream));
    }
    stream->abort();
    backend_.loop_.dispose(std::shared_ptr<net::Stream>(std::move(stream)));
    end_with(RequestFailure::broken, "the backend's 101 does not answer the WebSocket that was asked for");
}

// The last call to the observer may still be on the stack, or to come: the loop lets go at the end of the
// turn.
void Http1Backend::Call::end() {
    unlink();
    --backend_.open_;
    backend_.loop_.dispose(std::exchange(self_, nullptr));
}

void Http1Backend::Call::end_with(RequestFailure failure, const std::string& why) {
    end();
    observer_.on_failure(failure, why);
}

}  // namespace ee::agent
