#include "proxy/kept_request.h"

#include "base/check.h"
#include "http/fields.h"

namespace ee::proxy {

bool is_idempotent(std::string_view method) {
    for (const std::string_view one : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})
        if (method == one) return true;
    return false;
}

void KeptRequest::keep(const tunnel::StreamRequest& request, std::string_view host, BodyMemory* memory) {
    clear();
    request_ = request;
    has_host_ = !host.empty();
    held_ = HeldBytes(memory);
    std::size_t size = request.method.size() + request.target.size() + request.body.size() +
                       request.scheme.size() + request.authority.size() + request.protocol.size() +
                       host.size();
    for (const http::Field& field : request.fields) size += field.name.size() + field.value.size();
    text_.resize(size);
    char* to = text_.data();
    const auto keep = [&to](std::string_view text) {
        const std::string_view kept(to, text.size());
        to += text.copy(to, text.size());
        return kept;
    };
    request_.method = keep(request.method);
    request_.target = keep(request.target);
    request_.body = keep(request.body);
    request_.scheme = keep(request.scheme);
    request_.authority = keep(request.authority);
    request_.protocol = keep(request.protocol);
    fields_.reserve(request.fields.size() + 1);
    if (has_host_) fields_.push_back({"Host", keep(host)});
    for (const http::Field& field : request.fields)
        if (!http::iequals(field.name, "host")) fields_.push_back({keep(field.name), keep(field.value)});
    EE_CHECK(to <= text_.data() + size);
    const std::size_t head_size = size - request.body.size();
    held_.set(request.body.size() + (head_size > usual_head_bytes_max ? head_size : 0));
}

void KeptRequest::clear() {
    held_.set(0);
    text_.clear();
    fields_.clear();
}

tunnel::StreamRequest KeptRequest::request(bool streams_bodies) const {
    tunnel::StreamRequest out = request_;
    const bool leaves_host_out = has_host_ && streams_bodies;
    out.fields = std::span(fields_).subspan(leaves_host_out ? 1 : 0);
    return out;
}

std::unique_ptr<KeptRequest> KeptRequests::take() {
    if (spare_.empty()) return std::make_unique<KeptRequest>();
    std::unique_ptr<KeptRequest> request = std::move(spare_.back());
    spare_.pop_back();
    return request;
}

void KeptRequests::give_back(std::unique_ptr<KeptRequest> request) {
    if (!request || spare_.size() == spare_max || request->capacity() > usual_head_bytes_max) return;
    request->clear();
    spare_.push_back(std::move(request));
}

}  // namespace ee::proxy
