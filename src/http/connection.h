#pragma once
// One connection of a server, whatever version of HTTP it speaks.

namespace ee::http {

class Connection {
public:
    virtual ~Connection() = default;

    virtual void start() = 0;
    // Whether a request has begun, or an answer is not sent yet.
    virtual bool busy() const = 0;
    // Serves what has begun, takes nothing new, ends.
    virtual void drain() = 0;
    // Ends it now. The server has let go of it.
    virtual void end() = 0;
};

}  // namespace ee::http
