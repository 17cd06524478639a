// What the ledger's log costs: appending a leaf, and proving one.
//
//   ledger_log_bench [LEAVES]
//
// Prints one line of JSON, in nanoseconds of CPU time an operation, or milliseconds where the name says so.
// `append` is one leaf hash to tree and tiles; `leaf` is hashing salt and an entry's 200 bytes before that.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>

#include <fmt/format.h>

#include "base/check.h"
#include "ledger/log_tree.h"

using namespace ee;
using namespace ee::ledger;

namespace {

class MemoryTiles final : public TileReader {
public:
    Result<Bytes> read_tile(unsigned level, std::uint64_t index) const override {
        return tiles_.at({level, index});
    }
    void store(std::vector<Tile>& tiles) {
        for (Tile& tile : tiles) tiles_[{tile.level, tile.index}] = std::move(tile.hashes);
        tiles.clear();
    }

private:
    std::map<std::pair<unsigned, std::uint64_t>, Bytes> tiles_;
};

double cpu_seconds() {
    timespec now{};
    EE_CHECK(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The best of five runs, in nanoseconds each.
template <class Run>
double nanoseconds(std::uint64_t count, Run run) {
    double best = 1e30;
    for (int round = 0; round < 5; ++round) {
        const double start = cpu_seconds();
        for (std::uint64_t i = 0; i < count; ++i) run(i);
        best = std::min(best, cpu_seconds() - start);
    }
    return best * 1e9 / static_cast<double>(count);
}

}  // namespace

int main(int argc, char** argv) {
    const std::uint64_t leaves = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000;
    MemoryTiles tiles;
    LogTree tree;
    std::vector<Tile> full;
    std::vector<Hash> tail;
    Hash hash = empty_root();
    const double start = cpu_seconds();
    for (std::uint64_t i = 0; i < leaves; ++i) {
        hash[i % 32] = static_cast<std::uint8_t>(i);
        tree.append(hash, full);
        if (!full.empty()) tiles.store(full);
        tail.push_back(hash);
        if (tail.size() == tile_hashes) tail.clear();
    }
    const double append = (cpu_seconds() - start) * 1e9 / static_cast<double>(leaves);

    const Bytes leaf(200, 7);
    Salt salt{};
    const double hashing = nanoseconds(100'000, [&](std::uint64_t i) {
        salt[0] = static_cast<std::uint8_t>(i);
        hash = log_leaf_hash(salt, leaf);
    });
    TileCache cache(tiles);
    const auto prove = [&](std::uint64_t index) {
        EE_CHECK(tree.inclusion_proof(index, leaves, cache).has_value());
    };
    const double newest = nanoseconds(20'000, [&](std::uint64_t i) { prove(leaves - 1 - i % 100); });
    const double random = nanoseconds(500, [&](std::uint64_t i) { prove(i * 7'919'993 % leaves); });
    const double consistency = nanoseconds(20'000, [&](std::uint64_t i) {
        EE_CHECK(tree.consistency_proof(leaves - 1 - i % 100, leaves, cache).has_value());
    });
    const double copy = nanoseconds(10'000, [&](std::uint64_t) { LogTree(tree).size(); });
    const double root = nanoseconds(10'000, [&](std::uint64_t) { hash = tree.root(); });
    const double open_start = cpu_seconds();
    EE_CHECK(LogTree::open(leaves, tiles, tail)->root() == tree.root());
    const double open_ms = (cpu_seconds() - open_start) * 1e3;
    fmt::print(
        "{{\"leaves\":{},\"append\":{:.0f},\"leaf\":{:.0f},\"root\":{:.0f},\"copy\":{:.0f},"
        "\"prove_newest\":{:.0f},\"prove_random\":{:.0f},\"consistency\":{:.0f},\"open_ms\":{:.1f}}}\n",
        leaves, append, hashing, root, copy, newest, random, consistency, open_ms);
    return 0;
}
