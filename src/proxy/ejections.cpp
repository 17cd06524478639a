#include "proxy/ejections.h"

#include <algorithm>
#include <utility>

namespace ee::proxy {

bool Ejections::counts(std::string_view code) {
    return code == "backend_unreachable" || code == "tunnel_closed" || code == "stream_refused" ||
           code == "proxy_timeout";
}

std::string_view Ejections::key_of(AgentName agent) const {
    key_.assign(agent.app).append(1, '\n').append(agent.agent_id);
    return key_;
}

const Ejections::Record* Ejections::find(AgentName agent) const {
    if (records_.empty()) return nullptr;
    const auto found = records_.find(key_of(agent));
    return found == records_.end() ? nullptr : &found->second;
}

Ejections::Record* Ejections::find(AgentName agent) {
    return const_cast<Record*>(std::as_const(*this).find(agent));
}

Ejections::Record* Ejections::find_or_add(AgentName agent, MonoTime now) {
    if (Record* record = find(agent)) return record;
    if (records_.size() >= records_max) {
        if (now < next_look_) return nullptr;
        next_look_ = now + std::chrono::seconds(1);
        std::erase_if(records_, [now](const auto& entry) {
            const Record& record = entry.second;
            return now - std::max(record.touched, record.out_until.value_or(record.touched)) > remembered;
        });
        if (records_.size() >= records_max) return nullptr;
    }
    return &records_[std::string(key_of(agent))];
}

bool Ejections::failed(AgentName agent, Tunnel lost, bool is_probe, MonoTime now) {
    Record* record = find_or_add(agent, now);
    if (record == nullptr) return false;
    record->touched = now;
    if (record->out_until) {
        // What was sent before says nothing new, nor does a probe that another one's failure has overtaken.
        if (!is_probe || now < *record->out_until) return false;
        record->out_for = std::min(2 * record->out_for, out_max);
    } else {
        if (lost != 0 && record->lost == lost) return false;
        if (lost != 0) record->lost = lost;
        if (++record->failures < failures_in_a_row) return false;
        record->out_for = out_first;
    }
    record->probed_until = {};
    record->out_until = now + record->out_for;
    return true;
}

bool Ejections::succeeded(AgentName agent) {
    if (records_.empty()) return false;
    const auto found = records_.find(key_of(agent));
    if (found == records_.end()) return false;
    const bool was_out = found->second.out_until.has_value();
    records_.erase(found);
    return was_out;
}

void Ejections::probe_abandoned(AgentName agent) {
    if (Record* record = find(agent)) record->probed_until = {};
}

bool Ejections::begins_probe(AgentName agent, MonoTime now) {
    Record* record = find(agent);
    if (record == nullptr || !record->out_until) return false;
    if (now < *record->out_until || now < record->probed_until) return false;
    record->probed_until = now + probe_time;
    return true;
}

bool Ejections::is_out(AgentName agent, MonoTime now) const {
    const Record* record = find(agent);
    return record != nullptr && record->out_until && (now < *record->out_until || now < record->probed_until);
}

std::optional<MonoTime> Ejections::out_until(AgentName agent) const {
    const Record* record = find(agent);
    return record == nullptr ? std::nullopt : record->out_until;
}

bool Attempt::failed(std::string_view code, bool is_lost, MonoTime now) {
    if (ejections_ == nullptr || !Ejections::counts(code)) return false;
    return ejections_->failed(agent_, is_lost ? tunnel_ : 0, std::exchange(is_probe_, false), now);
}

}  // namespace ee::proxy
