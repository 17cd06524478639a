#pragma once
// An app's answer (RFC 9112), read while it comes: whether it came whole is known at its end only.

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/body_decoder.h"
#include "http/http1_response_parser.h"
#include "http/message.h"

namespace ee::cli {

class AnswerReader {
public:
    // `on_head` gets the final head, once, before any of the body; `on_body` the body's bytes without their
    // framing. Either ends the reading by false.
    using OnHead = std::function<bool(const http::ResponseHead& head)>;
    using OnBody = std::function<bool(std::string_view bytes)>;
    AnswerReader(std::string_view method, OnHead on_head, OnBody on_body)
        : asked_(http::asked_method(method)), on_head_(std::move(on_head)), on_body_(std::move(on_body)) {}

    // The next bytes from the peer; false: no more are wanted.
    bool take(std::string_view bytes);
    // Once no more come. Refusal `bad_answer`: what came is not HTTP, or ended before its time.
    Result<void> finish();

private:
    bool take_head(std::string_view bytes);
    bool take_body(std::string_view bytes);

    const http::AskedMethod asked_;
    const OnHead on_head_;
    const OnBody on_body_;
    http::ResponseParser parser_;
    std::string text_;  // Of the head, until it is whole.
    http::BodyDecoder body_;
    bool has_head_ = false;
    bool is_stopped_ = false;  // By who takes it.
    Result<void> read_{};
};

}  // namespace ee::cli
