#pragma once
// Signals as events of the loop (signalfd).

#include <functional>
#include <initializer_list>

#include "net/loop.h"

namespace ee::net {

// Blocks the signals for this thread and all it starts afterwards: what comes in waits for a Signals.
void block_signals(std::initializer_list<int> signals);

// Blocks the signals likewise: construct, or call block_signals(), before any other thread is started.
class Signals final : Watcher {
public:
    Signals(Loop& loop, std::initializer_list<int> signals, std::function<void(int)> on_signal);
    ~Signals();

private:
    void on_ready(std::uint32_t events) override;

    Loop& loop_;
    Fd fd_;
    std::function<void(int)> on_signal_;
};

// Has a write to a peer that is gone (SIGPIPE), or beyond the limit of file sizes (SIGXFSZ), fail with its
// error: each would end the process otherwise.
void let_writes_fail();

// Lets this process open as many descriptors as its hard limit allows, and has the kernel make room for them.
// Returns the limit in force. Best before any thread.
std::size_t raise_descriptor_limit();

}  // namespace ee::net
