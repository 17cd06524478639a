#include "ledger/receipt.h"

#include <functional>

#include <gtest/gtest.h>

#include "base/base64.h"
#include "ledger/test_log.h"

namespace ee::ledger {
namespace {

using test::SaltedLog;

constexpr std::uint64_t key_index = 2;
constexpr std::uint64_t entry_index = 5;

// A log whose key was noted in leaf 2 and whose leaf 5 is an entry.
struct Case {
    Case() {
        for (int i = 0; i < 2; ++i) log.append(test::grid_leaf());
        log.append_log_key();
        for (int i = 0; i < 2; ++i) log.append(test::grid_leaf());
        log.append(test::entry_leaf("alice"));
        log.append(test::grid_leaf());
    }
    Receipt receipt() const { return log.receipt(entry_index, key_index); }

    SaltedLog log;
};

const Case& the_case() {
    static const Case made;
    return made;
}

std::string code_of(const Receipt& receipt) {
    const auto held = verify_receipt(receipt);
    return held ? "ok" : held.error().code;
}

TEST(Receipt, HoldsByItself) {
    const auto held = verify_receipt(the_case().receipt());
    ASSERT_TRUE(held) << held.error().code << held.error().detail;
    EXPECT_EQ(held->leaf_index(), entry_index);
    EXPECT_EQ(held->leaf().text("account"), "alice");
    EXPECT_EQ(held->log_key_index(), key_index);
    EXPECT_EQ(held->log_key().kind, LeafKind::log_key);
    EXPECT_EQ(held->checkpoint().log_id, the_case().log.log_id);
    EXPECT_EQ(held->checkpoint().head, the_case().log.tree.head());
    EXPECT_FALSE(held->has_quote());
}

// H5, over a change of keys: an older leaf by a newer key, a newer one, the key's own leaf: the key signs the
// whole tree.
TEST(Receipt, HoldsForEveryLeafOfTheTreeThatTheKeySigned) {
    for (std::uint64_t index = 0; index < the_case().log.tree.size(); ++index)
        EXPECT_EQ(code_of(the_case().log.receipt(index, key_index)), "ok") << index;
}

TEST(Receipt, SurvivesItsJson) {
    Receipt receipt = the_case().receipt();
    for (const std::optional<bool> attested : {std::optional<bool>(), {false}, {true}}) {
        receipt.attested = attested;
        const auto again = parse_receipt(receipt_json(receipt));
        ASSERT_TRUE(again) << again.error().code;
        EXPECT_EQ(*again, receipt);
    }
}

// The log as it is with one leaf of its key changed, and signed all the same.
Receipt with_log_key(const std::function<void(Leaf&)>& change) {
    SaltedLog log;
    log.append(test::grid_leaf());
    Leaf leaf = log.log_key_leaf();
    change(leaf);
    log.append(leaf);
    return log.receipt(0, 1);
}

struct Mutation {
    const char* name;
    std::function<void(Receipt&)> change;
    const char* code;
};

TEST(Receipt, RefusesEachThingThatDoesNotFit) {
    const SaltedLog& log = the_case().log;
    const std::vector<Mutation> cases = {
        {"another leaf", [](Receipt& r) { r.leaf.leaf[9] ^= 1; }, "inclusion_invalid:root"},
        {"no leaf", [](Receipt& r) { r.leaf.leaf.clear(); }, "leaf_malformed:header"},
        {"a leaf of a later version", [](Receipt& r) { r.leaf.leaf[0] = 2; }, "leaf_version_unsupported"},
        {"a leaf of an unknown kind", [](Receipt& r) { r.leaf.leaf[1] = 200; }, "leaf_kind_unknown"},
        {"another salt", [](Receipt& r) { r.leaf.salt[0] ^= 1; }, "inclusion_invalid:root"},
        {"another path", [](Receipt& r) { r.leaf.path[0][0] ^= 1; }, "inclusion_invalid:root"},
        {"a shorter path", [](Receipt& r) { r.leaf.path.pop_back(); }, "inclusion_invalid:path_length"},
        {"a longer path", [](Receipt& r) { r.leaf.path.push_back({}); }, "inclusion_invalid:path_length"},
        {"another index", [](Receipt& r) { r.leaf.index ^= 1; }, "inclusion_invalid:root"},
        {"an index past the end", [&](Receipt& r) { r.leaf.index = log.tree.size(); },
         "inclusion_invalid:index"},
        {"a proof of another leaf", [&](Receipt& r) { r.leaf.path = log.receipt(4, key_index).leaf.path; },
         "inclusion_invalid:root"},
        {"no leaf of the key", [](Receipt& r) { r.log_key.leaf.clear(); }, "log_key_invalid:leaf"},
        {"another leaf as the key's", [](Receipt& r) { r.log_key = r.leaf; }, "log_key_invalid:kind"},
        {"the key's salt", [](Receipt& r) { r.log_key.salt[3] ^= 1; }, "log_key_invalid:root"},
        {"the key's path", [](Receipt& r) { r.log_key.path[1][31] ^= 0x80; }, "log_key_invalid:root"},
        {"the key's path cut", [](Receipt& r) { r.log_key.path.clear(); }, "log_key_invalid:path_length"},
        {"the key's index", [](Receipt& r) { r.log_key.index = 3; }, "log_key_invalid:root"},
        {"the key's index past the end", [](Receipt& r) { r.log_key.index = 7; }, "log_key_invalid:index"},
        {"the key's index before what it was made of", [](Receipt& r) { r.log_key.index = 1; },
         "log_key_invalid:last_size"},
        {"said to be attested", [](Receipt& r) { r.attested = true; }, "receipt_malformed:/attested"},
        {"no checkpoint", [](Receipt& r) { r.checkpoint.clear(); }, "checkpoint_malformed"},
        {"a checkpoint of another key",
         [&](Receipt& r) {
             r.checkpoint = sign_checkpoint({.log_id = log.log_id, .head = log.tree.head()},
                                            crypto::SigningKey::generate(crypto::KeyKind::ed25519));
         },
         "checkpoint_unsigned"},
        {"a checkpoint of another log",
         [&](Receipt& r) { r.checkpoint.replace(r.checkpoint.find(log.log_id), 1, "f"); },
         "checkpoint_unsigned"},
        {"a checkpoint of size 0",
         [&](Receipt& r) {
             r.checkpoint =
                 sign_checkpoint({.log_id = log.log_id, .head = {.size = 0, .root = empty_root()}}, log.key);
         },
         "inclusion_invalid:index"},
        {"a checkpoint of the tree without its tail",
         [&](Receipt& r) {
             r.checkpoint = sign_checkpoint(
                 {.log_id = log.log_id, .head = {.size = 6, .root = log.root_at(6)}}, log.key);
         },
         "inclusion_invalid:path_length"},
        {"a checkpoint with the last leaf twice",
         [&](Receipt& r) {
             LogTree twice = log.tree;
             std::vector<Tile> full;
             twice.append(log.leaf_hashes.back(), full);
             r.checkpoint = sign_checkpoint({.log_id = log.log_id, .head = twice.head()}, log.key);
         },
         "inclusion_invalid:root"},
        {"an altered size", [](Receipt& r) { r.checkpoint.replace(r.checkpoint.find("\n7\n"), 3, "\n8\n"); },
         "checkpoint_signature_invalid"},
    };
    ASSERT_EQ(code_of(the_case().receipt()), "ok");
    for (const Mutation& mutation : cases) {
        Receipt receipt = the_case().receipt();
        mutation.change(receipt);
        EXPECT_EQ(code_of(receipt), mutation.code) << mutation.name;
    }
}

TEST(Receipt, RefusesAKeyWhoseLeafSaysWhatCannotBe) {
    EXPECT_EQ(code_of(with_log_key([](Leaf&) {})), "ok");
    EXPECT_EQ(code_of(with_log_key([](Leaf& leaf) { leaf.fields[3] = field(std::uint64_t{2}); })),
              "log_key_invalid:last_size");
    EXPECT_EQ(code_of(with_log_key([](Leaf& leaf) { leaf.fields[3] = field(std::uint64_t{0}); })),
              "log_key_invalid:last_root");
    EXPECT_EQ(code_of(with_log_key([](Leaf& leaf) { leaf.fields[0][0] ^= 1; })), "checkpoint_unsigned");
}

// H2: whichever bit of whichever part falls over, the receipt is refused.
TEST(Receipt, RefusesEveryFlippedBit) {
    const Receipt good = the_case().receipt();
    const auto flip_all = [&](const char* what, std::size_t bytes, const auto& byte_at) {
        for (std::size_t bit = 0; bit < bytes * 8; ++bit) {
            Receipt receipt = good;
            byte_at(receipt, bit / 8) ^= static_cast<std::uint8_t>(1U << bit % 8);
            EXPECT_NE(code_of(receipt), "ok") << what << ", bit " << bit;
        }
    };
    for (const auto part : {&Receipt::leaf, &Receipt::log_key}) {
        flip_all("leaf", (good.*part).leaf.size(),
                 [&](Receipt& r, std::size_t i) -> std::uint8_t& { return (r.*part).leaf[i]; });
        flip_all("salt", salt_size,
                 [&](Receipt& r, std::size_t i) -> std::uint8_t& { return (r.*part).salt[i]; });
        flip_all("path", (good.*part).path.size() * 32,
                 [&](Receipt& r, std::size_t i) -> std::uint8_t& { return (r.*part).path[i / 32][i % 32]; });
        for (unsigned bit = 0; bit < 64; ++bit) {
            Receipt receipt = good;
            (receipt.*part).index ^= std::uint64_t{1} << bit;
            EXPECT_NE(code_of(receipt), "ok") << "index, bit " << bit;
        }
    }
    // Size, root, signature and key's hash are in the note.
    for (std::size_t bit = 0; bit < good.checkpoint.size() * 8; ++bit) {
        Receipt receipt = good;
        receipt.checkpoint[bit / 8] = static_cast<char>(receipt.checkpoint[bit / 8] ^ (1 << bit % 8));
        EXPECT_NE(code_of(receipt), "ok") << "checkpoint, bit " << bit;
    }
}

TEST(Receipt, RefusesJsonThatIsNotExactlyOne) {
    const std::string good = receipt_json(the_case().receipt());
    const std::string salt = to_base64(the_case().receipt().leaf.salt);
    const auto replaced = [&](const std::string& from, const std::string& to) {
        const std::size_t at = good.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return std::string(good).replace(at, from.size(), to);
    };
    std::string long_path = "[";
    for (std::size_t i = 0; i <= path_hashes_max; ++i)
        long_path += (i == 0 ? "\"" : ",\"") + to_base64(Hash{}) + "\"";
    long_path += "]";
    const std::size_t path_begin = good.find("[");
    const std::string path = good.substr(path_begin, good.find("]") + 1 - path_begin);
    const std::pair<std::string, const char*> cases[] = {
        {"", "receipt_malformed:/"},
        {"[]", "receipt_malformed:/"},
        {good + "x", "receipt_malformed:/"},
        {good.substr(0, good.size() - 1), "receipt_malformed:/"},
        {"{}", "receipt_malformed:/leaf_index"},
        {replaced("{", "{\"more\":1,"), "receipt_malformed:/"},
        {replaced("\"log_key\":{", "\"log_key\":{\"checkpoint\":\"\","), "receipt_malformed:/log_key"},
        {replaced("{", "{\"salt\":\"\","), "receipt_malformed:/salt"},
        {replaced("\"leaf_index\":5", "\"leaf_index\":5.0"), "receipt_malformed:/leaf_index"},
        {replaced("\"leaf_index\":5", "\"leaf_index\":-5"), "receipt_malformed:/leaf_index"},
        {replaced("\"leaf_index\":5", "\"leaf_index\":\"5\""), "receipt_malformed:/leaf_index"},
        {replaced("\"leaf_index\":5", "\"leaf_index\":18446744073709551616"), "receipt_malformed:/"},
        {replaced(salt, salt.substr(4)), "receipt_malformed:/salt"},
        {replaced(salt, "*" + salt.substr(1)), "receipt_malformed:/salt"},
        {replaced("\"leaf\":\"", "\"leaf\":\"="), "receipt_malformed:/leaf"},
        {replaced("\"path\":[\"", "\"path\":[\"A"), "receipt_malformed:/path/0"},
        {replaced("\"path\":[\"", "\"path\":[0,\""), "receipt_malformed:/path/0"},
        {replaced("\"path\":[\"", "\"path\":[\"AAAA\",\""), "receipt_malformed:/path/0"},
        {replaced(path, long_path), "receipt_malformed:/path"},
        {replaced("{", "{\"path\":[],"), "receipt_malformed:/path"},
        {replaced("\"" + salt + "\"", std::string(9, '[') + std::string(9, ']')), "receipt_malformed:/"},
        {replaced("\"checkpoint\":\"", "\"checkpoint\":1,\"_\":\""), "receipt_malformed:/"},
        {replaced("\"log_key\":{", "\"log_key\":null,\"_\":{"), "receipt_malformed:/"},
        {replaced("{", "{\"attested\":1,"), "receipt_malformed:/attested"},
        {std::string(receipt_bytes_max + 1, ' '), "receipt_too_large"},
    };
    for (const auto& [json, code] : cases) {
        const auto parsed = parse_receipt(json);
        EXPECT_EQ(parsed ? "ok" : parsed.error().code, code) << json.substr(0, 200);
    }
}

}  // namespace
}  // namespace ee::ledger
