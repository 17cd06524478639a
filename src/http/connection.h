#pragma once
// One connection of a server, whatever version of HTTP it speaks.

#include <cstddef>

#include "base/time.h"

namespace ee::http {

class Connection {
public:
    virtual ~Connection() = default;

    virtual void start() = 0;
    // Whether a request has begun, or an answer is not sent yet.
    virtual bool busy() const = 0;
    // Serves what has begun, takes nothing new, ends.
    virtual void drain() = 0;
    // Ends it now.
    virtual void end() = 0;
    // Of answers that are complete and wait, when the visitor has taken nothing since then and nothing else
    // is under way; else 0.
    virtual std::size_t answered_bytes(MonoTime stalled_since) const = 0;
};

}  // namespace ee::http
