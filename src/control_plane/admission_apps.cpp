// What admission does for the API where it changes apps.

#include "control_plane/admission.h"

namespace ee::control_plane {

void Admission::close_unwelcome() {
    tunnels_->for_each([this](tunnel::Session& session) {
        if (const auto allowed = registry_.may_stay(session.id()); !allowed)
            session.refuse(allowed.error(), std::nullopt);
    });
}

void Admission::store(registry::AppRecord record, std::optional<registry::KeptAnswer> answer, Stored done) {
    store_.save(std::move(record), on_loop(std::move(done)), std::move(answer));
}

void Admission::find_answer(std::string key, registry::RegistrationStore::OnAnswer found) {
    store_.find_answer(std::move(key), [&loop = loop_, found = std::move(found)](const auto& answer) {
        loop.post([found, answer] { found(answer); });
    });
}

void Admission::unstore(std::string app_name, Stored done) {
    store_.remove(std::move(app_name), on_loop(std::move(done)));
}

// The store finishes its queue after this object, too.
std::function<void(const Result<void>&)> Admission::on_loop(Stored done) {
    return [this, &loop = loop_, done = std::move(done)](const Result<void>& result) {
        loop.post([this, done, result] {
            store_result(result);
            done(result);
        });
    };
}

}  // namespace ee::control_plane
