#include "api/app_change.h"

#include "api/audit.h"
#include "api/pending_answer.h"

namespace ee::api {
namespace {

Services::Stored answering(Request& request, StoredAnswer answer) {
    return [complete = answer_later(request), answer = std::move(answer)](const Result<void>& stored) {
        if (!stored && answer.undo) answer.undo();
        complete([&](Request& pending) {
            if (!stored) return pending.refuse(stored.error());
            pending.reply_json(answer.status, answer.body);
        });
    };
}

}  // namespace

void change_app(Request& request, const std::function<void(Request&)>& effect) {
    audited(request, effect);
}

void answer_stored(Request& request, registry::AppRecord record, StoredAnswer answer) {
    request.services.store_app(std::move(record), answering(request, std::move(answer)));
}

void answer_unstored(Request& request, std::string app_name, std::string body) {
    request.services.unstore_app(std::move(app_name), answering(request, {.body = std::move(body)}));
}

}  // namespace ee::api
