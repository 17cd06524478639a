#pragma once
// Who waits for a whole answer of the backend.

#include "agent/backend.h"

namespace ee::agent {

class WholeCall final : http::WholeAnswer::Receiver {
public:
    WholeCall(std::size_t body_bytes_max, Backend::OnDone on_done)
        : answer_(body_bytes_max, *this), on_done_(std::move(on_done)) {}
    http::WholeAnswer& answer() { return answer_; }

private:
    void on_answer(const http::AnswerView& answer) override { on_done_(&answer, {}); }
    void on_failure(http::RequestFailure failure, const std::string& why) override {
        on_done_(nullptr, {error_code(failure), why});
    }

    http::WholeAnswer answer_;
    Backend::OnDone on_done_;
};

}  // namespace ee::agent
