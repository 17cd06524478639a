// The full check of the ledger in a file that no server has open: whether it is what its journal says.

#include <cstdio>

#include "ledger/ledger_check.h"
#include "ledger/sqlite/sqlite_reader.h"

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const auto store = ee::ledger::SqliteReader::open(argv[1]);
    if (!store) {
        std::fprintf(stderr, "%s: %s\n", store.error().code.c_str(), store.error().detail.c_str());
        return 1;
    }
    const ee::ledger::CheckReport report = ee::ledger::check_ledger(**store, 0);
    for (const std::string& finding : report.findings) std::fprintf(stderr, "%s\n", finding.c_str());
    std::printf("%llu leaves checked\n", static_cast<unsigned long long>(report.leaves));
    return report.is_good() ? 0 : 1;
}
