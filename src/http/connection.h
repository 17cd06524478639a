#pragma once
// One connection of a server, whatever version of HTTP it speaks.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace ee::http {

class Connection;

// A request whose body is being gathered.
struct Gathering {
    Connection* connection;
    std::int32_t stream;  // 0 where there are none.
    std::size_t bytes;    // So far, its head among them.
    MonoTime since;
};

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
    virtual void list_gathering(std::vector<Gathering>& into) = 0;
    // Does nothing when it is not gathered any more.
    virtual void refuse_gathering(std::int32_t stream, int status, const Error& why) = 0;
};

}  // namespace ee::http
