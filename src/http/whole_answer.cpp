#include "http/whole_answer.h"

namespace ee::http {

void WholeAnswer::on_head(const ResponseHead& head) {
    head_ = &head;
    whole_ = {};
    body_.clear();
    if (head.framing == Framing::length && head.content_length > body_bytes_max_) return refuse_size();
    exchange_->keep_head();
}

void WholeAnswer::on_body(std::string_view bytes) {
    if (bytes.size() > body_bytes_max_ - body_.size()) return refuse_size();
    exchange_->body_consumed(bytes.size());
    if (head_->framing == Framing::length && bytes.size() == head_->content_length) {
        whole_ = bytes;  // The common case: no copy, for on_end() comes next.
        return;
    }
    if (body_.empty() && head_->framing == Framing::length)
        body_.reserve(static_cast<std::size_t>(head_->content_length));
    body_.append(bytes);
}

void WholeAnswer::on_end(std::span<const Field>) {
    receiver_.on_answer({*head_, whole_.empty() ? std::string_view(body_) : whole_});
}

void WholeAnswer::on_failure(RequestFailure failure, const std::string& why) {
    receiver_.on_failure(failure, why);
}

void WholeAnswer::refuse_size() {
    exchange_->cancel();
    receiver_.on_failure(RequestFailure::broken, "the answer has more than the " +
                                                     std::to_string(body_bytes_max_) + " bytes allowed");
}

}  // namespace ee::http
