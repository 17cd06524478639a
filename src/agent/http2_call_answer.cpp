// The answer to a request over HTTP/2.

#include "agent/http2_call.h"
#include "agent/http2_connection.h"
#include "base/check.h"

namespace ee::agent {

using http::Field;
using http::RequestFailure;

void Http2Backend::Call::set_head(int status, std::span<const Field> fields) {
    head_ = {};
    head_.status = status;
    head_.minor_version = 1;
    head_.fields.assign(fields.begin(), fields.end());
}

void Http2Backend::Call::on_interim(int status, std::span<const Field> fields) {
    note_progress();
    is_answered_ = true;
    release_request();
    set_head(status, fields);
    observer_.on_interim(head_);
}

void Http2Backend::Call::on_head(const http::Http2Head& head, bool end) {
    note_progress();
    is_answered_ = true;
    release_request();
    if (head.status > 599)
        return fail(RequestFailure::broken, "the answer's status is " + std::to_string(head.status));
    set_head(head.status, head.fields);
    // Whatever Content-Length says: where a body ends, the frames say.
    head_.framing = end ? http::Framing::none : http::Framing::chunked;
    if (request_.is_websocket() && head.status < 300 && !end) return observer_.on_opened(head_);
    observer_.on_head(head_);
    if (keeps_head_ && !is_over()) copy_head();
}

void Http2Backend::Call::copy_head() {
    std::size_t size = 0;
    for (const Field& field : head_.fields) size += field.name.size() + field.value.size();
    head_text_.clear();
    head_text_.reserve(size);
    const auto keep = [this](std::string_view part) {
        head_text_.append(part);
        return std::string_view(head_text_).substr(head_text_.size() - part.size());
    };
    for (Field& field : head_.fields) {
        const std::string_view name = keep(field.name);
        field = {name, keep(field.value)};
    }
}

void Http2Backend::Call::on_body(std::string_view bytes) {
    note_progress();
    unconsumed_ += bytes.size();
    observer_.on_body(bytes);
}

void Http2Backend::Call::body_consumed(std::size_t bytes) {
    EE_CHECK(bytes <= unconsumed_);
    unconsumed_ -= bytes;
    if (unconsumed_ == 0) note_progress();  // Nothing was owed until now.
    if (connection_ == nullptr) return;
    connection_->session().consume(stream_, bytes);
    connection_->flush_later();
}

void Http2Backend::Call::on_end(std::span<const Field> trailers) {
    end(http::http2_code::no_error);  // The rest of the request, if any, concerns nobody any more.
    observer_.on_end(trailers);
}

}  // namespace ee::agent
