#pragma once
// How threads share the cores.

namespace ee {

// The calling thread takes a core only as far as others leave it (batch, nice 10): for work in bulk that must
// not slow the data plane on a machine with few cores. Where the system does not allow it, it changes
// nothing.
void become_background_thread();

}  // namespace ee
