#include "agent/advice.h"

namespace ee::agent {

std::string_view connection_advice(const LostConnection& lost) {
    if (lost.code == "invalid_url") return {};
    if (lost.code == "connect_failed")
        return "Check host and port of EE_CONTROL_WS. Is the control plane up, may this machine reach it?";
    if (lost.code == "tls_failed" && lost.detail.find("certificate verify failed") != std::string_view::npos)
        return "The control plane's certificate is not believed. EE_TLS_CA must name the root of a private "
               "one, and the certificate be for the host in EE_CONTROL_WS.";
    if (lost.code == "tls_failed")
        return "What answers does not speak TLS with agents. Check the port of EE_CONTROL_WS; where the "
               "control plane has no TLS it must begin with ws://.";
    if (lost.status == 429 || lost.status >= 500)
        return "The control plane, or what is in front of it, takes no tunnel now; the agent tries again.";
    if (lost.status == 101)
        return "Something on the way changes the answer to the upgrade. Connect to the control plane itself.";
    if (lost.status != 0)
        return "What answers has no tunnel there. EE_CONTROL_WS must have the path /v1/tunnel and the port "
               "that is EE_CONTROL_PORT at the control plane, not its visitors'.";
    if (!lost.over_tls)
        return "Is TLS expected there? Then EE_CONTROL_WS must begin with wss://. Check its port, too.";
    return "What is there ends the connection or says nothing. Check host and port of EE_CONTROL_WS.";
}

}  // namespace ee::agent
