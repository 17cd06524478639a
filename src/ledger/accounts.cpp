// Accounts, and credits bought, burnt and passed on.

#include <fmt/format.h>

#include "ledger/account_name.h"
#include "ledger/answers.h"
#include "ledger/audit.h"
#include "ledger/books.h"
#include "ledger/field_rules.h"
#include "ledger/operations.h"

namespace ee::ledger {
namespace {

constexpr std::size_t text_max = 256;  // of a memo or payment_ref

tl::unexpected<Error> unknown_account(std::string_view name) {
    return fail("unknown_account", fmt::format("no account is called {}", name.substr(0, 150)));
}

Result<void> check_user_name(std::string_view field, std::string_view name) {
    if (is_user_name(name)) return {};
    return fail("invalid_field:" + std::string(field), "a name is 1 to 64 of [A-Za-z0-9._-]");
}

bool is_holder(std::string_view name) {
    const auto type = type_of(name);
    return type == AccountType::user || type == AccountType::node;
}

void keep_token(Context& context, const crypto::Sha256& token, std::string_view account) {
    context.batch.put(Table::tokens, std::string(as_text(token)), "account:" + std::string(account));
}

// @issued opens with the first purchase.
void open_issued(Context& context) {
    if (!find_account(context.batch, issued_account)) open_account(context, issued_account, std::nullopt);
}

void append_balance(JsonWriter& json, const Account& account) {
    field(json, "available_usd", account.available);
    field(json, "locked_usd", account.locked);
}

// A purchase or redemption that its payment_ref names has happened once.
struct Payment {
    PostingKind kind;
    std::string_view account;
    Money amount;
    std::string_view ref;

    std::string key() const { return KeyWriter().text(to_word(kind)).text(ref); }
};

std::optional<Result<Answer>> find_payment(const Context& context, const Payment& payment) {
    if (payment.ref.empty()) return std::nullopt;
    const auto record = context.batch.get(Table::payments, payment.key());
    if (!record) return std::nullopt;
    RecordReader in(*record);
    const std::string account = in.text();
    const Money amount(in.integer());
    Answer answer{.status = 201, .leaf_index = in.number(), .replayed = true};
    answer.body = in.text();
    in.finish();
    if (account != payment.account || amount != payment.amount)
        return fail("payment_ref_used",
                    fmt::format("this payment_ref belongs to {} USD for {}", to_usd(amount), account));
    return answer;
}

void keep_payment(Context& context, const Payment& payment, const Answer& answer) {
    if (payment.ref.empty()) return;
    context.batch.put(Table::payments, payment.key(),
                      RecordWriter()
                          .text(payment.account)
                          .integer(payment.amount.micro())
                          .number(answer.leaf_index.value())
                          .text(answer.body)
                          .take());
}

// Between an account and @issued.
Result<Answer> issue_or_burn(Context& context, const Payment& payment) {
    if (auto checked = check_amount(payment.amount); !checked) return fail(checked.error());
    if (!payment.ref.empty())
        if (auto checked = check_id("payment_ref", payment.ref, text_max); !checked)
            return fail(checked.error());
    if (!find_account(context.batch, payment.account)) return unknown_account(payment.account);
    if (auto known = find_payment(context, payment)) return *std::move(known);
    open_issued(context);
    const bool burns = payment.kind == PostingKind::redeem;
    // The answer is about the account, whose leaf is the second one of a purchase.
    const auto moved = move(context, {.kind = payment.kind, .reference = std::string(payment.ref)},
                            burns ? payment.account : issued_account,
                            burns ? issued_account : payment.account, payment.amount);
    if (!moved) return fail(moved.error());
    Answer answer{.status = 201, .leaf_index = burns ? *moved : *moved + 1};
    JsonWriter json(answer.body);
    json.begin_object().field("transfer_id", id_text(*moved + 1)).field("account_id", payment.account);
    field(json, "amount_usd", payment.amount);
    append_balance(json, find_account(context.batch, payment.account).value());
    json.end_object();
    keep_payment(context, payment, answer);
    return answer;
}

}  // namespace

Result<Answer> perform(Context& context, const OpenAccount& command) {
    if (auto checked = check_user_name("account_id", command.account); !checked) return fail(checked.error());
    if (find_account(context.batch, command.account))
        return fail("account_exists", fmt::format("an account is called {} already", command.account));
    open_account(context, command.account, command.token);
    keep_token(context, command.token, command.account);
    append_call(context);
    Answer answer{.status = 201, .secret = "token"};
    JsonWriter json(answer.body);
    json.begin_object().field("account_id", command.account);
    append_balance(json, Account{});
    json.end_object();
    return answer;
}

Result<Answer> perform(Context& context, const RotateToken& command) {
    auto account = find_account(context.batch, command.account);
    if (!account || !account->token) return unknown_account(command.account);
    context.batch.erase(Table::tokens, std::string(as_text(*account->token)));
    account->token = command.token;
    save_account(context.batch, command.account, *account);
    keep_token(context, command.token, command.account);
    append_call(context);
    Answer answer{.status = 200, .secret = "token"};
    JsonWriter(answer.body).begin_object().field("account_id", command.account).end_object();
    return answer;
}

Result<Answer> perform(Context& context, const Purchase& command) {
    if (auto checked = check_user_name("account_id", command.account); !checked) return fail(checked.error());
    return issue_or_burn(context,
                         {PostingKind::purchase, command.account, command.amount, command.payment_ref});
}

Result<Answer> perform(Context& context, const Redeem& command) {
    if (!is_holder(command.account))
        return fail("invalid_field:account_id", "a user's account or node:<id> redeems");
    return issue_or_burn(context,
                         {PostingKind::redeem, command.account, command.amount, command.payment_ref});
}

Result<Answer> perform(Context& context, const Transfer& command) {
    for (const auto& [name, account] :
         {std::pair<std::string_view, const std::string&>{"from_account", command.from},
          {"to_account", command.to}})
        if (!is_holder(account))
            return fail("invalid_field:" + std::string(name), "a user's account, or node:<id>");
    if (command.from == command.to) return fail("invalid_field:to_account", "it is from_account too");
    if (auto checked = check_amount(command.amount); !checked) return fail(checked.error());
    if (auto checked = check_text("memo", command.memo, text_max); !checked) return fail(checked.error());
    for (const std::string& account : {command.from, command.to})
        if (!find_account(context.batch, account)) return unknown_account(account);
    const auto moved = move(context, {.kind = PostingKind::transfer, .memo = command.memo}, command.from,
                            command.to, command.amount);
    if (!moved) return fail(moved.error());
    Answer answer{.status = 201, .leaf_index = *moved};
    JsonWriter json(answer.body);
    json.begin_object().field("transfer_id", id_text(*moved + 1));
    json.field("from_account", command.from).field("to_account", command.to);
    field(json, "amount_usd", command.amount);
    field(json, "available_usd", find_account(context.batch, command.from)->available);
    json.end_object();
    return answer;
}

}  // namespace ee::ledger
