#pragma once
// The shared attestation vectors, for tests: EE_TEST_VECTORS, else ../shared/vectors beside the source.

#include <filesystem>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace ee::attestation {

// One line of MANIFEST.tsv.
struct VectorRow {
    std::string quote;       // path within the folder
    std::string collateral;  // empty: none
    bool simulated_root = false;
    std::optional<WallTime> at;
    std::vector<std::string> expect;   // one of these outcomes
    std::set<std::string> advisories;  // of a row that is ok

    // For the test's name in a failure.
    friend void PrintTo(const VectorRow& row, std::ostream* out) {
        *out << row.quote << ' ' << row.collateral;
    }
};

std::filesystem::path vector_folder();
// Empty when the vectors are not there.
std::vector<VectorRow> read_vector_manifest();
Bytes read_vector(const std::string& path);

}  // namespace ee::attestation
