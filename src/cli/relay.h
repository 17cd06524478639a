#pragma once
// Bytes between two descriptors and a TLS connection, both ways at once.

#include "cli/sealed_connection.h"

namespace ee::cli {

// Where plaintext comes from and goes to: the same twice for a socket.
struct LocalEnd {
    int in = -1;
    int out = -1;
    bool is_socket = false;
};

// Until both sides have ended; a terminal's or a pipe's end of the other side is enough. Each side's end is
// told to the other: close_notify, and a shut connection. At most 256 KiB wait in either direction. Refusals:
// `connection_lost` (it broke off, or ended without close_notify), `local_failed`.
Result<void> relay(SealedConnection& connection, const LocalEnd& local);

}  // namespace ee::cli
