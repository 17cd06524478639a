#include "ledger/account_name.h"

#include <gtest/gtest.h>

namespace ee::ledger {
namespace {

TEST(AccountName, AUserNameIsOfLettersDigitsAndThreeMarks) {
    for (const std::string_view name : {"a", "z", "A", "Z", "0", "9", ".", "_", "-", "Alice-2.b_c"}) {
        EXPECT_TRUE(is_user_name(name)) << name;
        EXPECT_EQ(type_of(name), AccountType::user) << name;
    }
    EXPECT_TRUE(is_user_name(std::string(64, 'a')));
    EXPECT_FALSE(is_user_name(std::string(65, 'a')));
    EXPECT_FALSE(is_user_name(""));
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool is_one =
            std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-").find(c) !=
            std::string_view::npos;
        EXPECT_EQ(is_user_name(std::string{'a', c}), is_one) << byte;
    }
}

TEST(AccountName, SaysWhatAnAccountIs) {
    const struct {
        std::string_view name;
        std::optional<AccountType> type;
        std::string_view node;
    } rows[] = {
        {"alice", AccountType::user, ""},
        {"@issued", AccountType::issued, ""},
        {"@slashed", AccountType::slashed, ""},
        {"node:n1", AccountType::node, "n1"},
        {"stake:n1", AccountType::stake, "n1"},
        {"@other", std::nullopt, ""},
        {"node:", std::nullopt, ""},
        {"stake:", std::nullopt, ""},
        {"node:a/b", std::nullopt, "a/b"},
        {"stake:a/b", std::nullopt, "a/b"},
        {"spare:n1", std::nullopt, ""},
        {"", std::nullopt, ""},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(type_of(row.name), row.type) << row.name;
        EXPECT_EQ(node_id_of(row.name), row.node) << row.name;
    }
    EXPECT_EQ(type_of(node_account("n1")), AccountType::node);
    EXPECT_EQ(type_of(stake_account("n1")), AccountType::stake);
}

}  // namespace
}  // namespace ee::ledger
