#include "cli/answer_reader.h"

#include <utility>

namespace ee::cli {

bool AnswerReader::take(std::string_view bytes) {
    return has_head_ ? take_body(bytes) : take_head(bytes);
}

bool AnswerReader::take_head(std::string_view bytes) {
    text_.append(bytes);
    for (;;) {
        http::ResponseHead head;
        const auto size = parser_.parse(text_, asked_, head);
        if (!size) {
            read_ = fail("bad_answer", "the answer is not HTTP/1.1: " + size.error().detail);
            return false;
        }
        if (*size == 0) return true;
        if (head.status == 101) {
            read_ = fail("bad_answer", "the answer changes to another protocol, which was not asked for");
            return false;
        }
        if (head.interim()) {
            text_.erase(0, *size);
            continue;
        }
        has_head_ = true;
        body_ = http::BodyDecoder(head);
        if (!on_head_(head)) {
            is_stopped_ = true;
            return false;
        }
        return take_body(std::exchange(text_, {}).substr(*size));
    }
}

bool AnswerReader::take_body(std::string_view bytes) {
    while (!body_.done() && !bytes.empty()) {
        const auto step = body_.next(bytes);
        if (!step) {
            read_ = fail("bad_answer", "the answer's body is not HTTP/1.1: " + step.error().detail);
            return false;
        }
        bytes.remove_prefix(step->consumed);
        if (!step->data.empty() && !on_body_(step->data)) {
            is_stopped_ = true;
            return false;
        }
    }
    return !body_.done();
}

Result<void> AnswerReader::finish() {
    if (!read_ || is_stopped_) return read_;
    if (!has_head_) return fail("bad_answer", "the connection ended before the answer's head was whole");
    if (!body_.finish())
        return fail("bad_answer", "the answer broke off: the connection ended within its body");
    return {};
}

}  // namespace ee::cli
