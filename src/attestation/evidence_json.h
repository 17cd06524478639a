#pragma once
// Evidence as JSON: what GET /v1/apps/{app}/evidence answers and `eectl evidence verify` reads.

#include <string>
#include <string_view>
#include <vector>

#include "attestation/evidence.h"

namespace ee::attestation {

inline constexpr std::size_t evidence_file_size_max = 32 * 1024 * 1024;

// One object; the same bytes for the same evidence.
std::string evidence_json(const Evidence& evidence);

// An answer, its pieces of evidence already written.
struct EvidencePage {
    std::string app_name{};
    std::string log_id{};
    std::vector<std::string> items{};  // JSON of each
    EvidenceContents contents{};
    std::string next_cursor{};  // empty: this was the last page
};
std::string evidence_page_json(const EvidencePage& page);

struct EvidenceFile {
    std::string app_name;
    std::string log_id;
    std::vector<Evidence> items;
    EvidenceContents contents;  // each is what its key says
    std::string next_cursor;
};

// Strict: members that this program does not know are refused, as what is not understood is not verified.
// `evidence_malformed:<JSON pointer>`.
Result<EvidenceFile> parse_evidence_file(std::string_view json);

}  // namespace ee::attestation
