#pragma once
// The seam between the endpoints and wherever evidence is kept.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace ee::api {

struct EvidenceQuestion {
    std::string app_name{};
    std::string id{};                      // this piece of evidence; empty:
    std::vector<std::string> agent_ids{};  // the newest one of each of these, ordered by public names
    std::string after{};                   // a public name; only those behind it
    std::size_t limit = 0;
    bool with_collateral = false;
    bool with_allowlist = false;
    WallTime now{};
};

struct EvidenceAnswer {
    std::string media_type;
    std::string body;
};

class EvidenceSource {
public:
    virtual ~EvidenceSource() = default;

    // Called on the loop, later, once.
    using OnAnswer = std::function<void(const Result<EvidenceAnswer>&)>;

    // Whether anybody may see evidence of this network.
    virtual bool is_public(std::string_view network) const = 0;

    // False, and no answer comes, when too many questions wait. Refusals: `unknown_evidence`,
    // `store_unavailable`.
    virtual bool ask(EvidenceQuestion question, OnAnswer on_answer) = 0;
    // One part of collateral by its SHA-256 in lower-case hex. Refusals: `unknown_collateral`,
    // `store_unavailable`.
    virtual bool ask_collateral(std::string sha256, OnAnswer on_answer) = 0;
};

}  // namespace ee::api
