#pragma once
// What an operator can do about each reason for which an agent does not serve.

#include <string_view>

namespace ee::agent {

// `code` as the control plane sent it, with or without a suffix behind ':'. Empty when there is no advice.
std::string_view advice_for(std::string_view code);

// How a connection to EE_CONTROL_WS ended before it was a tunnel.
struct LostConnection {
    bool over_tls = false;  // wss
    std::string_view code, detail;
    int status = 0;  // That answered the upgrade; 0: nothing of HTTP did.
};
// What an operator can check about it; empty where the detail says it all.
std::string_view connection_advice(const LostConnection& lost);

}  // namespace ee::agent
