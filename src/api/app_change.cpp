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

Error unknown_app(const std::string& app) {
    return {"unknown_app", "no app is called " + app};
}

void change_app(Request& request, const AppEffect& effect) {
    const std::string& app = request.parameters[0];
    if (!request.services.registry.status(app, request.services.now()))
        return request.refuse(unknown_app(app));
    audited(request, [app, effect](Request& sound) { effect(sound, app); });
}

void answer_stored(Request& request, registry::AppRecord record, StoredAnswer answer) {
    auto kept = std::exchange(answer.kept, std::nullopt);
    request.services.store_app(std::move(record), std::move(kept), answering(request, std::move(answer)));
}

void answer_unstored(Request& request, std::string app_name, std::string body) {
    request.services.unstore_app(std::move(app_name), answering(request, {.body = std::move(body)}));
}

}  // namespace ee::api
