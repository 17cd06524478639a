#include "api/pending_answer.h"

#include <utility>

namespace ee::api {
namespace {

constexpr std::chrono::seconds answer_time{10};

class PendingAnswer final : http::ExchangeObserver {
public:
    explicit PendingAnswer(const Request& request)
        : request_(request), request_id_(request.request_id), deadline_(request.services.loop, [this] {
              end([](Request& late) { late.refuse({"overloaded", "the answer was not there within 10 s"}); });
          }) {
        request_.request_id = request_id_;
        request_.query = {};
        request_.rest = {};
        request_.exchange.set_observer(this);
        deadline_.arm_after(answer_time);
    }

    void complete(const std::function<void(Request&)>& answer) {
        end(answer);
        deadline_.cancel();
        request_.services.loop.release(this);
    }

private:
    void on_visitor_gone() override {
        open_ = false;
        deadline_.cancel();
    }
    void end(const std::function<void(Request&)>& answer) {
        if (std::exchange(open_, false)) answer(request_);
    }

    Request request_;
    const std::string request_id_;
    net::Timer deadline_;
    bool open_ = true;
};

}  // namespace

Complete answer_later(const Request& request) {
    const auto pending = std::make_shared<PendingAnswer>(request);
    PendingAnswer* const kept = pending.get();
    request.services.loop.keep(pending);
    return [kept](const std::function<void(Request&)>& answer) { kept->complete(answer); };
}

}  // namespace ee::api
