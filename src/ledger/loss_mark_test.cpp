#include "ledger/loss_mark.h"

#include <gtest/gtest.h>

namespace ee::ledger {
namespace {

const ByteArray<32> secret = {7};
const Checkpoint at_twenty{.log_id = std::string(32, 'a'), .head = {.size = 20, .root = {1}}};

UnverifiedCheckpoint note_with(const Checkpoint& checkpoint, const std::string& line) {
    static const auto key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    const std::string note = sign_checkpoint(checkpoint, key) + line;
    EXPECT_TRUE(verify_checkpoint(note, crypto::Ed25519PublicKey::from_raw(key.public_bytes())))
        << "whoever does not know the line passes it over";
    return parse_checkpoint(note).value();
}

TEST(LossMark, SaysWhichLossesCameBefore) {
    EXPECT_EQ(loss_mark(at_twenty, {}, secret), "");
    const std::vector<LossId> losses = {{1, 2}, {3}};
    const auto note = note_with(at_twenty, loss_mark(at_twenty, losses, secret));
    EXPECT_EQ(losses_marked(note, secret), losses);
    EXPECT_EQ(losses_named(note), losses);
    EXPECT_TRUE(losses_marked(note_with(at_twenty, ""), secret).empty());
}

TEST(LossMark, HoldsForOneCheckpointOfOneLogOnly) {
    const std::string line = loss_mark(at_twenty, {{1}}, secret);
    EXPECT_TRUE(losses_marked(note_with(at_twenty, line), {8}).empty());
    Checkpoint other = at_twenty;
    other.head.root = {2};
    EXPECT_TRUE(losses_marked(note_with(other, line), secret).empty());
    other = at_twenty;
    other.log_id = std::string(32, 'b');
    EXPECT_TRUE(losses_named(note_with(other, line)).empty());
    EXPECT_TRUE(losses_marked(note_with(at_twenty, loss_mark(other, {{1}}, secret)), secret).empty());
}

TEST(LossMark, ALineOfAnotherShapeNamesNothing) {
    const auto marked = note_with(at_twenty, loss_mark(at_twenty, {{1}}, secret)).signatures.back();
    for (const std::size_t size : {1U, 8U, 32U, 39U, 41U}) {
        Bytes bytes = marked.signature;
        bytes.resize(size);
        const auto note = note_with(at_twenty, signature_line(marked.name, marked.key_hash, bytes));
        EXPECT_TRUE(losses_named(note).empty()) << size;
        EXPECT_TRUE(losses_marked(note, secret).empty()) << size;
    }
}

TEST(LossMark, ALineOfAnotherNameOrKeyNamesNothing) {
    const auto marked = note_with(at_twenty, loss_mark(at_twenty, {{1}}, secret)).signatures.back();
    for (const std::string& line : {signature_line(marked.name + "x", marked.key_hash, marked.signature),
                                    signature_line(marked.name, {1, 2, 3, 4}, marked.signature)}) {
        const auto note = note_with(at_twenty, line);
        EXPECT_TRUE(losses_named(note).empty()) << line;
        EXPECT_TRUE(losses_marked(note, secret).empty()) << line;
    }
}

TEST(LossMark, NamesTheNewestOfMany) {
    std::vector<LossId> losses;
    for (std::size_t i = 0; i < losses_marked_max + 3; ++i) losses.push_back({static_cast<std::uint8_t>(i)});
    const auto named = losses_marked(note_with(at_twenty, loss_mark(at_twenty, losses, secret)), secret);
    ASSERT_EQ(named.size(), losses_marked_max);
    EXPECT_EQ(named.back(), losses.back());
}

}  // namespace
}  // namespace ee::ledger
