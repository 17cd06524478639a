#include "ledger/checkpoint.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/hex.h"

namespace ee::ledger {
namespace {

const std::string log_id = "0123456789abcdef0123456789abcdef";
const std::string origin = "easyenclave/" + log_id;

const crypto::SigningKey& key() {
    static const auto made = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    return made;
}

crypto::Ed25519PublicKey public_key_of(const crypto::SigningKey& signer) {
    return crypto::Ed25519PublicKey::from_spki(signer.spki()).value();
}

Checkpoint checkpoint() {
    return {.log_id = log_id, .head = {.size = 5500, .root = leaf_hash(as_bytes("root"))}};
}

std::string code_of(const std::string& note) {
    const auto held = verify_checkpoint(note, public_key_of(key()));
    return held ? "ok" : held.error().code;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

// The example of C2SP signed-note's verifier keys, made by another implementation.
TEST(Checkpoint, KeyHashIsTheOneOfSignedNotes) {
    const std::string name = "sum.golang.org";
    const Bytes typed = from_base64("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8").value();
    ByteArray<32> raw;
    std::copy(typed.begin() + 1, typed.end(), raw.begin());
    EXPECT_EQ(to_hex(note_key_hash(name, raw)), "033de0ae");
    EXPECT_EQ(note_verifier_key(name, raw),
              "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8");
}

TEST(Checkpoint, IsASignedNoteOfThreeLines) {
    const std::string note = sign_checkpoint(checkpoint(), key());
    const std::string text = origin + "\n5500\n" + to_base64(checkpoint().head.root) + "\n";
    EXPECT_EQ(checkpoint_text(checkpoint()), text);
    EXPECT_TRUE(note.starts_with(text + "\n\xe2\x80\x94 " + origin + " ")) << note;
    EXPECT_TRUE(note.ends_with("\n"));
    EXPECT_EQ(verify_checkpoint(note, public_key_of(key())).value(), checkpoint());
    // The signature is over the three lines, line feed included.
    const auto parsed = parse_checkpoint(note).value();
    ASSERT_EQ(parsed.signatures.size(), 1U);
    EXPECT_TRUE(public_key_of(key()).verifies(as_bytes(text), parsed.signatures[0].signature));
}

TEST(Checkpoint, HoldsBesideSignaturesOfWitnesses) {
    const std::string note = sign_checkpoint(checkpoint(), key());
    const Bytes other(4 + 8 + 64, 7);
    const std::string witness = "\xe2\x80\x94 witness.example/w1 " + to_base64(other) + "\n";
    EXPECT_EQ(code_of(note + witness), "ok");
    EXPECT_EQ(code_of(replaced(note, "\n\n", "\n\n" + witness)), "ok");
}

TEST(Checkpoint, RefusesEachThingThatDoesNotFit) {
    const std::string good = sign_checkpoint(checkpoint(), key());
    const std::string root = to_base64(checkpoint().head.root);
    const std::string line = good.substr(good.find("\n\n") + 2);
    const auto stranger = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    std::string many = good;
    for (std::size_t i = 0; i < checkpoint_signatures_max; ++i) many += line;
    // Our name and key, and a signature over something else.
    const Checkpoint another{.log_id = log_id, .head = {.size = 5501, .root = checkpoint().head.root}};
    const std::string note_of_another = sign_checkpoint(another, key());
    const std::string line_of_another = note_of_another.substr(note_of_another.find("\n\n") + 2);
    const std::pair<std::string, const char*> cases[] = {
        {"", "checkpoint_malformed"},
        {replaced(good, "5500", "5501"), "checkpoint_signature_invalid"},
        {replaced(good, root, to_base64(empty_root())), "checkpoint_signature_invalid"},
        {replaced(good, "5500", "05500"), "checkpoint_malformed"},
        {replaced(good, "5500", "+5500"), "checkpoint_malformed"},
        {replaced(good, "5500", "5500x"), "checkpoint_malformed"},
        {replaced(good, "5500", "-1"), "checkpoint_malformed"},
        {replaced(good, "5500", ""), "checkpoint_malformed"},
        {replaced(good, "5500", "9223372036854775808"), "checkpoint_malformed"},
        {replaced(good, "5500", "99999999999999999999999"), "checkpoint_malformed"},
        {replaced(good, root, root + "="), "checkpoint_malformed"},
        {replaced(good, root, "AAAA"), "checkpoint_malformed"},
        {replaced(good, "\n\n", "\nan extension\n\n"), "checkpoint_malformed"},
        {replaced(good, "\n\n", "\n"), "checkpoint_malformed"},
        {replaced(good, "\n\n", "\nan extension\n"), "checkpoint_malformed"},
        {replaced(good, "\n", "\r\n"), "checkpoint_malformed"},
        {replaced(good, "easyenclave/", "another/"), "checkpoint_foreign"},
        {replaced(good, log_id, "0123456789ABCDEF0123456789abcdef"), "checkpoint_foreign"},
        {replaced(good, log_id, log_id + "0"), "checkpoint_foreign"},
        {good.substr(0, good.size() - 1), "checkpoint_malformed"},
        {good.substr(0, good.find("\n\n") + 2), "checkpoint_malformed"},
        {replaced(good, "\xe2\x80\x94 ", "- "), "checkpoint_malformed"},
        {good + "\n", "checkpoint_malformed"},
        {good + "\xe2\x80\x94 a+b AAAAAAAA\n", "checkpoint_malformed"},
        {good + "\xe2\x80\x94 name AAAA\n", "checkpoint_malformed"},
        {good + "\xe2\x80\x94 name ****\n", "checkpoint_malformed"},
        {good + "\xe2\x80\x94 name\n", "checkpoint_malformed"},
        {good + "\xe2\x80\x94 AAAAAAAA\n", "checkpoint_malformed"},
        {good + "\xe2\x80\x94 \xff AAAAAAAA\n", "checkpoint_malformed"},
        {good + "\x01", "checkpoint_malformed"},
        {good + "\xff", "checkpoint_malformed"},
        {many, "checkpoint_malformed"},
        {good + std::string(checkpoint_bytes_max, 'x'), "checkpoint_too_large"},
        {sign_checkpoint(checkpoint(), stranger), "checkpoint_unsigned"},
        {good + line_of_another, "checkpoint_signature_invalid"},
        {replaced(good, " " + origin, " " + replaced(origin, "0123", "1123")), "checkpoint_unsigned"},
    };
    EXPECT_EQ(code_of(good), "ok");
    for (const auto& [note, code] : cases) EXPECT_EQ(code_of(note), code) << note.substr(0, 400);
}

// H2: whichever bit of it falls over, it is refused.
TEST(Checkpoint, RefusesEveryFlippedBit) {
    const std::string good = sign_checkpoint(checkpoint(), key());
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string note = good;
        note[bit / 8] = static_cast<char>(note[bit / 8] ^ (1 << bit % 8));
        EXPECT_NE(code_of(note), "ok") << "bit " << bit;
    }
    const ByteArray<32> raw = public_key_of(key()).raw();
    for (std::size_t bit = 0; bit < raw.size() * 8; ++bit) {
        ByteArray<32> other = raw;
        other[bit / 8] = static_cast<std::uint8_t>(other[bit / 8] ^ (1 << bit % 8));
        EXPECT_EQ(verify_checkpoint(good, crypto::Ed25519PublicKey::from_raw(other)).error().code,
                  "checkpoint_unsigned");
    }
}

TEST(Checkpoint, LogIdsAreThirtyTwoLowerCaseHexCharacters) {
    EXPECT_TRUE(is_log_id(log_id));
    EXPECT_FALSE(is_log_id(log_id.substr(1)));
    EXPECT_FALSE(is_log_id("0123456789abcdef0123456789abcdeF"));
    EXPECT_FALSE(is_log_id("0123456789abcdef0123456789abcde/"));
}

}  // namespace
}  // namespace ee::ledger
