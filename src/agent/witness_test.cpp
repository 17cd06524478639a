#include "agent/witness.h"

#include <fstream>
#include <sstream>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "ledger/log_tree.h"
#include "ledger/witness_proof.h"
#include "net/test_peer.h"

namespace ee::agent {
namespace {

namespace fs = std::filesystem;

class NoTiles final : public ledger::TileReader {
    Result<Bytes> read_tile(unsigned, std::uint64_t) const override { return fail("tile_missing"); }
};

// Some log, and an agent that witnesses it.
class WitnessTest : public testing::Test {
protected:
    WitnessTest() {
        std::string pattern = (fs::temp_directory_path() / "witness.XXXXXX").string();
        root_ = ::mkdtemp(pattern.data());
        start();
    }
    ~WitnessTest() override {
        witness.reset();
        workers.reset();  // It may still write.
        fs::remove_all(root_);
    }
    void start() { witness.emplace(loop, *workers, log, folder()); }
    fs::path folder() const { return root_ / "state"; }

    ledger::TreeHead grow_to(std::uint64_t size, std::uint8_t flavour = 0) {
        std::vector<ledger::Tile> full;
        while (tree.size() < size)
            tree.append(ledger::leaf_hash(ByteArray<2>{static_cast<std::uint8_t>(tree.size()), flavour}),
                        full);
        return tree.head();
    }
    std::string signed_note(const ledger::TreeHead& head, char id = 'a') const {
        return ledger::sign_checkpoint({.log_id = std::string(32, id), .head = head}, key);
    }
    std::string proof_from(std::uint64_t size) {
        const NoTiles tiles;
        ledger::TileCache cache(tiles);
        return ledger::write_consistency(size, tree.consistency_proof(size, tree.size(), cache).value());
    }
    std::string kept(const char* name = "checkpoint") const {
        std::ifstream in(folder() / name, std::ios::binary);
        std::ostringstream out;
        out << in.rdbuf();
        return out.str();
    }
    bool has_logged(std::string_view event) {
        std::string text(64 * 1024, '\0');
        return net::run_until(loop, [&] {
            const ssize_t size = ::pread(log_file_.get(), text.data(), text.size(), 0);
            return size > 0 && text.find(event) < static_cast<std::size_t>(size);
        });
    }
    bool is_kept(const std::string& note) {
        return net::run_until(loop, [&] { return kept() == note; });
    }

    fs::path root_;
    net::Fd log_file_{::memfd_create("log", MFD_CLOEXEC)};
    telemetry::Log log{telemetry::LogLevel::debug, telemetry::LogFormat::json, log_file_.get()};
    net::Loop loop;
    std::optional<net::WorkerPool> workers{std::in_place, 1, 8};
    crypto::SigningKey key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    ledger::LogTree tree;
    std::optional<Witness> witness;
};

TEST_F(WitnessTest, KeepsTheNewestAcrossRestartsForItsOwnerAlone) {
    EXPECT_EQ(witness->note(), "");
    const std::string first = signed_note(grow_to(5));
    witness->told(first, "");
    EXPECT_EQ(witness->note(), first);
    ASSERT_TRUE(is_kept(first));
    struct stat about{};
    ASSERT_EQ(::stat((folder() / "checkpoint").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
    ASSERT_EQ(::stat(folder().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0700U);
    start();
    EXPECT_EQ(witness->note(), first);
    const std::string second = signed_note(grow_to(9));
    witness->told(second, proof_from(5));
    EXPECT_EQ(witness->note(), second);
    ASSERT_TRUE(is_kept(second));
    EXPECT_EQ(kept("checkpoints.old"), "");
}

TEST_F(WitnessTest, HoldsWhatItHasAgainstALogThatDoesNotGoOnFromThere) {
    const std::string held = signed_note(grow_to(9));
    witness->told(held, "");
    ledger::LogTree before = tree;
    grow_to(12);
    const std::string newer = signed_note(tree.head());
    witness->told(newer, "");
    witness->told(newer, proof_from(8));
    witness->told("nonsense", "");
    witness->told(newer + std::string(10'000, ' '), proof_from(9));
    const auto signed_by = [&](const std::string& name, int lines) {
        std::string note = newer.substr(0, newer.find("\n\n") + 2);
        for (int line = 0; line < lines; ++line)
            note += "\u2014 " + name + ' ' + std::string(400, 'A') + '\n';
        return note;
    };
    const std::string log_name = newer.substr(0, newer.find('\n'));
    for (const std::string& note : {signed_by("other", 1), signed_by(log_name, 20)}) {
        ASSERT_TRUE(ledger::parse_checkpoint(note)) << note;
        witness->told(note, proof_from(9));
    }
    tree = ledger::LogTree{};
    witness->told(signed_note(grow_to(4)), "");
    witness->told(signed_note(grow_to(9, 1)), "");
    grow_to(12, 1);
    witness->told(signed_note(tree.head()), proof_from(9));
    EXPECT_EQ(witness->note(), held);
    ASSERT_TRUE(is_kept(held));
}

TEST_F(WitnessTest, BeginsAnewWithAnotherLogAndKeepsTheOldOne) {
    const std::string held = signed_note(grow_to(9)), other = signed_note(grow_to(3), 'b');
    witness->told(held, "");
    witness->told(other, "");
    EXPECT_EQ(witness->note(), other);
    ASSERT_TRUE(is_kept(other));
    EXPECT_EQ(kept("checkpoints.old"), held + "\n");
}

TEST_F(WitnessTest, TakesALossOnlyFromTheLogItself) {
    const std::string held = signed_note({.size = 7, .root = {1}});
    witness->told(held, "");
    grow_to(5);
    const Bytes leaf =
        ledger::encode_leaf({.kind = ledger::LeafKind::restored,
                             .fields = {ledger::field(std::uint64_t{4}), ledger::field(std::uint64_t{3})}})
            .value();
    const ledger::Salt salt{1};
    std::vector<ledger::Tile> full;
    tree.append(ledger::log_leaf_hash(salt, leaf), full);
    const NoTiles tiles;
    ledger::TileCache cache(tiles);
    ledger::ProvenLeaf proven{
        .index = 5, .leaf = leaf, .salt = salt, .path = tree.inclusion_proof(5, 6, cache).value()};
    const std::string told = signed_note(tree.head());
    witness->told(told, "");
    EXPECT_EQ(witness->note(), held);
    witness->told(told, ledger::write_loss(proven));
    EXPECT_EQ(witness->note(), told);
    ASSERT_TRUE(is_kept(told));
    EXPECT_EQ(kept("checkpoints.old"), held + "\n");
}

TEST_F(WitnessTest, TakesALossOnceAlsoAfterARestart) {
    grow_to(5);
    const Bytes leaf =
        ledger::encode_leaf({.kind = ledger::LeafKind::restored,
                             .fields = {ledger::field(std::uint64_t{4}), ledger::field(std::uint64_t{9})}})
            .value();
    const ledger::Salt salt{1};
    const ledger::Hash hash = ledger::log_leaf_hash(salt, leaf);
    std::vector<ledger::Tile> full;
    tree.append(hash, full);
    const NoTiles tiles;
    ledger::TileCache cache(tiles);
    const ledger::ProvenLeaf proven{
        .index = 5, .leaf = leaf, .salt = salt, .path = tree.inclusion_proof(5, 6, cache).value()};
    const auto marked = [&](const ledger::TreeHead& head) {
        return signed_note(head) + ledger::loss_mark({.log_id = std::string(32, 'a'), .head = head},
                                                     {ledger::loss_id(hash)}, {7});
    };
    const std::string told = marked(tree.head());
    witness->told(signed_note({.size = 7, .root = {1}}), "");
    witness->told(told, ledger::write_loss(proven));
    ASSERT_EQ(witness->note(), told);
    grow_to(8);
    const std::string held = marked(tree.head());
    witness->told(held, proof_from(6));
    ASSERT_EQ(witness->note(), held);
    // The log goes back to where it was when it said so.
    witness->told(told, ledger::write_loss(proven));
    EXPECT_EQ(witness->note(), held);
    ASSERT_TRUE(is_kept(held));
    start();
    witness->told(told, ledger::write_loss(proven));
    EXPECT_EQ(witness->note(), held);
}

TEST_F(WitnessTest, AFileThatHoldsNoCheckpointIsReplacedByTheNextOne) {
    fs::create_directory(folder());
    std::ofstream(folder() / "checkpoint") << "nonsense";
    start();
    EXPECT_EQ(witness->note(), "");
    const std::string note = signed_note(grow_to(2));
    witness->told(note, "");
    ASSERT_TRUE(is_kept(note));
}

TEST_F(WitnessTest, WitnessesAlsoWhereNothingCanBeKept) {
    std::ofstream(folder()) << "not a folder";
    start();
    const std::string note = signed_note(grow_to(2));
    witness->told(note, "");
    grow_to(3);
    net::run_turns(loop, 20);
    witness->told(signed_note(tree.head()), proof_from(2));
    EXPECT_EQ(witness->note(), signed_note(tree.head()));
}

TEST_F(WitnessTest, SaysThatTheNewestCouldNotBeKept) {
    fs::create_directories(folder() / "checkpoint" / "in_the_way");
    start();
    witness->told(signed_note(grow_to(2)), "");
    EXPECT_TRUE(has_logged("witness.not_kept"));
}

TEST_F(WitnessTest, ReplacesNoCheckpointOfAnotherLogThatItCannotPutAside) {
    const std::string held = signed_note(grow_to(9));
    witness->told(held, "");
    ASSERT_TRUE(is_kept(held));
    fs::create_directory(folder() / "checkpoints.old");
    witness->told(signed_note(grow_to(3), 'b'), "");
    EXPECT_TRUE(has_logged("witness.not_kept"));
    EXPECT_EQ(kept(), held);
    fs::remove(folder() / "checkpoints.old");
    const std::string next = signed_note(grow_to(12), 'b');
    witness->told(next, proof_from(9));
    ASSERT_TRUE(is_kept(next));
    EXPECT_EQ(kept("checkpoints.old"), held + "\n");
}

}  // namespace
}  // namespace ee::agent
