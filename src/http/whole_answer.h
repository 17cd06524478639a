#pragma once
// Collects the pieces of an answer into one, up to a limit: for those who have no use for pieces.

#include <string>
#include <string_view>

#include "http/client_exchange.h"

namespace ee::http {

// Views that end with the callback.
struct AnswerView {
    const ResponseHead& head;
    std::string_view body;
};

class WholeAnswer final : public AnswerObserver {
public:
    // Exactly one of the two for each request.
    class Receiver {
    public:
        virtual void on_answer(const AnswerView& answer) = 0;
        virtual void on_failure(RequestFailure failure, const std::string& why) = 0;

    protected:
        ~Receiver() = default;
    };

    WholeAnswer(std::size_t body_bytes_max, Receiver& receiver)
        : body_bytes_max_(body_bytes_max), receiver_(receiver) {}

    // Whose answer it is; before the first call comes.
    void expect_from(ClientExchange& exchange) { exchange_ = &exchange; }

private:
    void on_head(const ResponseHead& head) override;
    void on_body(std::string_view bytes) override;
    void on_end(std::span<const Field> trailers) override;
    void on_failure(RequestFailure failure, const std::string& why) override;
    void refuse_size();

    std::size_t body_bytes_max_;
    Receiver& receiver_;
    ClientExchange* exchange_ = nullptr;
    const ResponseHead* head_ = nullptr;
    std::string_view whole_;  // A body that came in one piece.
    std::string body_;        // One that did not.
};

}  // namespace ee::http
