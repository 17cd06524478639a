#include "attestation/vector_manifest.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "attestation/directory_source.h"
#include "base/check.h"

namespace ee::attestation {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, separator);) out.push_back(part);
    return out;
}

}  // namespace

std::filesystem::path vector_folder() {
    if (const char* folder = std::getenv("EE_TEST_VECTORS")) return folder;
    return std::filesystem::path(EE_SOURCE_DIR) / ".." / "shared" / "vectors";
}

std::vector<VectorRow> read_vector_manifest() {
    std::vector<VectorRow> rows;
    std::ifstream in(vector_folder() / "MANIFEST.tsv");
    std::string line;
    std::getline(in, line);  // the heading
    while (std::getline(in, line)) {
        const auto columns = split(line, '\t');
        EE_CHECK(columns.size() >= 5);
        VectorRow row{.quote = columns[0],
                      .collateral = columns[1] == "-" ? "" : columns[1],
                      .simulated_root = columns[2] == "simulated",
                      .at = {},
                      .expect = split(columns[4], '|'),
                      .advisories = {}};
        if (columns[3] != "-") row.at = WallTime(std::chrono::seconds(std::stoll(columns[3])));
        if (columns.size() > 5) {
            const auto advisories = split(columns[5], ',');
            row.advisories = {advisories.begin(), advisories.end()};
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

Bytes read_vector(const std::string& path) {
    const auto text = read_whole_file(vector_folder() / path, 4 * 1024 * 1024);
    EE_CHECK(text.has_value());
    return to_bytes(as_bytes(*text));
}

}  // namespace ee::attestation
