#pragma once
// A request that may have to be sent once more, or later: all of it, owned.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/body_memory.h"
#include "tunnel/multiplexer.h"

namespace ee::proxy {

// RFC 9110 section 9.2.2: the same request twice means what it means once.
bool is_idempotent(std::string_view method);

// The largest body that is kept for a second attempt.
inline constexpr std::size_t kept_body_bytes_max = 64 * 1024;
// Heads up to this size are what every request costs.
inline constexpr std::size_t usual_head_bytes_max = 8 * 1024;

class KeptRequest {
public:
    KeptRequest() = default;
    KeptRequest(const KeptRequest&) = delete;
    KeptRequest& operator=(const KeptRequest&) = delete;

    // A copy. `host` as the visitor sent it; empty: none. The body counts in `memory`, and so does a head
    // that is larger than others; it may be null, and outlives this object.
    void keep(const tunnel::StreamRequest& request, std::string_view host, BodyMemory* memory);
    void clear();

    // As the multiplexer takes it; without `streams_bodies` the host is among the fields. Views into this.
    tunnel::StreamRequest request(bool streams_bodies) const;
    std::size_t capacity() const { return text_.capacity(); }

private:
    std::string text_;  // What all of it points into.
    tunnel::StreamRequest request_;
    std::vector<http::Field> fields_;
    bool has_host_ = false;  // The first of them.
    HeldBytes held_;
};

// Nearly every request is kept for a moment: their buffers are used again.
class KeptRequests {
public:
    std::unique_ptr<KeptRequest> take();
    void give_back(std::unique_ptr<KeptRequest> request);

private:
    static constexpr std::size_t spare_max = 64;
    std::vector<std::unique_ptr<KeptRequest>> spare_;
};

}  // namespace ee::proxy
