#pragma once
// What answers a stream of the tunnel, as its HTTP/2 connection sees it.

#include <span>
#include <string_view>

#include "http/http2_session.h"

namespace ee::agent {

class StreamEnd {
public:
    virtual ~StreamEnd() = default;

    // From the visitor; see http::Http2Observer.
    virtual void body(std::string_view bytes) = 0;
    virtual void end_body(std::span<const http::Field> trailers) = 0;
    virtual void taken(std::size_t bytes) = 0;
    // Nobody waits any more.
    virtual void cancel() = 0;
};

// What it is part of.
class StreamEnds {
public:
    virtual http::Http2Session& session() = 0;
    // There may be something to pull.
    virtual void on_output() = 0;
    // It has ended: destroyed at the end of the turn.
    virtual void forget(http::Http2StreamId id) = 0;

protected:
    ~StreamEnds() = default;
};

}  // namespace ee::agent
