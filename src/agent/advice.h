#pragma once
// What an operator can do about a connection to the control plane that did not become a tunnel. What a
// control plane says of one that did has its remedies in attestation/remedy.h.

#include <string_view>

namespace ee::agent {

// How a connection to EE_CONTROL_WS ended before it was a tunnel.
struct LostConnection {
    bool over_tls = false;  // wss
    std::string_view code, detail;
    int status = 0;  // That answered the upgrade; 0: nothing of HTTP did.
};
// What an operator can check about it; empty where the detail says it all.
std::string_view connection_advice(const LostConnection& lost);

}  // namespace ee::agent
