#pragma once
// A loop with a thread of its own, for what must not disturb the data plane.

#include <thread>

#include "net/loop.h"

namespace ee::net {

class LoopThread {
public:
    LoopThread() = default;
    ~LoopThread() { stop(); }

    Loop& loop() { return loop_; }
    // Begins to run the loop. Until then it may be used by whoever builds what lives on it, afterwards only
    // by post().
    void start();
    // Ends the loop and waits for its thread: what lives on it may be destroyed afterwards.
    void stop();

private:
    Loop loop_;
    std::thread thread_;
};

}  // namespace ee::net
