#include "ledger/books.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "ledger/account_name.h"
#include "ledger/meta_record.h"

namespace ee::ledger {
namespace {

using enum AccountType;

constexpr std::uint8_t bit(AccountType type) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(type));
}
constexpr std::uint8_t any_holder = bit(user) | bit(node);

// Who may lose and who may gain by a posting of a kind. Within one account (lock, release, refund) they are
// one.
struct Pair {
    PostingKind kind;
    std::uint8_t from;
    std::uint8_t to;
};
constexpr Pair pairs[] = {
    {PostingKind::purchase, bit(issued), bit(user)},
    {PostingKind::redeem, any_holder, bit(issued)},
    {PostingKind::transfer, any_holder, any_holder},
    {PostingKind::lock, bit(user), bit(user)},
    {PostingKind::release, bit(user), bit(user)},
    {PostingKind::pay, bit(user), bit(node)},
    {PostingKind::refund, bit(user), bit(user)},
    {PostingKind::stake, bit(user) | bit(issued), bit(stake)},
    {PostingKind::unstake, bit(stake), bit(user) | bit(issued)},
    {PostingKind::slash, bit(stake), bit(slashed)},
};

constexpr bool moves_between_accounts(PostingKind kind) {
    return kind != PostingKind::lock && kind != PostingKind::release && kind != PostingKind::refund;
}

[[noreturn]] void broken(const Posting& posting, std::string_view what) {
    throw BrokenInvariant(
        fmt::format("a posting of kind {} ({}): {}", to_word(posting.kind), posting.reference, what));
}

ExactCost sum_of(const Change& change) {
    return static_cast<ExactCost>(change.available.micro()) + change.locked.micro();
}

// Balanced, and between accounts that this kind is for.
void check(const Posting& posting, std::span<const Change> changes) {
    const auto pair = std::ranges::find(pairs, posting.kind, &Pair::kind);
    EE_CHECK(pair != std::end(pairs));
    const std::size_t expected = moves_between_accounts(posting.kind) ? 2 : 1;
    if (changes.size() != expected)
        broken(posting, fmt::format("{} accounts, not {}", changes.size(), expected));
    ExactCost sum = 0;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const auto type = type_of(changes[i].account);
        if (!type || (bit(*type) & (i == 0 ? pair->from : pair->to)) == 0)
            broken(posting, fmt::format("the account {} may not be its {}", changes[i].account,
                                        i == 0 ? "source" : "destination"));
        if (i > 0 && (sum_of(changes[i]) <= 0 || !changes[i].locked.is_zero()))
            broken(posting, fmt::format("{} gains nothing", changes[i].account));
        if (i > 0 && changes[i].account == changes[0].account) broken(posting, "both accounts are one");
        sum += sum_of(changes[i]);
    }
    if (sum != 0) broken(posting, "debits and credits differ");
}

Money changed(const Posting& posting, Money balance, Money by) {
    const auto sum = checked_add(balance, by);
    if (!sum) broken(posting, "a balance beyond 64 bits");
    return *sum;
}

// The refusals that callers can cause, before anything is written.
Result<void> check_balances(const Posting& posting, const Change& change, const Account& account) {
    const auto available = checked_add(account.available, change.available);
    // What @issued owes, one account can hold.
    if (!available || !checked_negate(*available) || !checked_add(account.locked, change.locked))
        return fail("balance_too_large",
                    fmt::format("{} would hold more than the ledger can count", change.account));
    const AccountType type = type_of(change.account).value();
    if (change.available.is_negative() && !may_be_negative(type) &&
        changed(posting, account.available, change.available).is_negative())
        return fail("insufficient_credit",
                    fmt::format("{} has {} USD available, {} are needed", change.account,
                                to_usd(account.available), to_usd(checked_negate(change.available).value())));
    if (changed(posting, account.locked, change.locked).is_negative())
        broken(posting, fmt::format("{} has {} USD locked", change.account, to_usd(account.locked)));
    return {};
}

constexpr std::string_view sums_key = "sums";
constexpr std::string_view accounts_opened = "account_count";

std::uint64_t count_of(const Batch& batch, std::string_view counter) {
    return meta_record(batch, counter, decode_number).value_or(0);
}

Money sum(Money a, Money b) {
    const auto out = checked_add(a, b);
    if (!out) throw BrokenInvariant("the sum of all accounts is beyond 64 bits");
    return *out;
}

void save_sums(Batch& batch, const Sums& sums) {
    batch.put(Table::meta, std::string(sums_key), sums.encode());
}

void add_to_sums(Batch& batch, std::span<const Change> changes) {
    Sums sums = sums_of(batch);
    for (const Change& change : changes) {
        sums.available = sum(sums.available, change.available);
        sums.locked = sum(sums.locked, change.locked);
        if (change.account == issued_account)
            sums.issued = sum(sums.issued, checked_negate(change.available).value());
    }
    save_sums(batch, sums);
}

// The journal grows in the account's own record; a record of lines is written when it is full, and never
// again.
void add_line(Batch& batch, Account& account, const EntryLine& line) {
    account.newest[account.entries++ % lines_in_record] = line;
    if (account.entries % lines_in_record == 0)
        batch.put(Table::entries, entry_lines_key(account.number, account.entries / lines_in_record - 1),
                  encode(account.newest));
}

}  // namespace

std::string Sums::encode() const {
    return RecordWriter()
        .integer(available.micro())
        .integer(locked.micro())
        .integer(issued.micro())
        .integer(held.micro())
        .take();
}

Sums Sums::decode(std::string_view record) {
    RecordReader in(record);
    Sums out;
    for (Money* part : {&out.available, &out.locked, &out.issued, &out.held}) *part = Money(in.integer());
    in.finish();
    return out;
}

Sums sums_of(const Batch& batch) {
    return meta_record(batch, sums_key, Sums::decode).value_or(Sums{});
}

void add_held(Batch& batch, Money by) {
    Sums sums = sums_of(batch);
    sums.held = sum(sums.held, by);
    save_sums(batch, sums);
}

std::string_view to_word(PostingKind kind) {
    switch (kind) {
        case PostingKind::purchase: return "purchase";
        case PostingKind::redeem: return "redeem";
        case PostingKind::transfer: return "transfer";
        case PostingKind::lock: return "lock";
        case PostingKind::release: return "release";
        case PostingKind::pay: return "pay";
        case PostingKind::refund: return "refund";
        case PostingKind::stake: return "stake";
        case PostingKind::unstake: return "unstake";
        case PostingKind::slash: return "slash";
    }
    return {};
}

std::optional<Account> find_account(const Batch& batch, std::string_view name) {
    const auto record = batch.get(Table::accounts, name);
    if (!record) return std::nullopt;
    return Account::decode(*record);
}

void save_account(Batch& batch, std::string_view name, const Account& account) {
    batch.put(Table::accounts, std::string(name), account.encode());
}

std::uint64_t next_number(Batch& batch, std::string_view counter) {
    const std::uint64_t number = count_of(batch, counter);
    batch.put(Table::meta, std::string(counter), KeyWriter().number(number + 1));
    return number;
}

std::uint64_t account_count(const Batch& batch) {
    return count_of(batch, accounts_opened);
}

void open_account(Context& context, std::string_view name, const std::optional<crypto::Sha256>& token) {
    Account account;
    account.number = next_number(context.batch, accounts_opened);
    account.opened_at = context.now;
    account.token = token;
    save_account(context.batch, name, account);
}

EntryLine line_of(const Batch& batch, const Account& account, std::uint64_t number) {
    const std::uint64_t record_number = number / lines_in_record;
    if (record_number == account.entries / lines_in_record) return account.newest[number % lines_in_record];
    return lines_of(batch, account, record_number)[number % lines_in_record];
}

EntryLines lines_of(const Batch& batch, const Account& account, std::uint64_t record_number) {
    const auto record = batch.get(Table::entries, entry_lines_key(account.number, record_number));
    if (!record)
        throw DamagedRecord(
            fmt::format("line {} of account {} is missing", record_number * lines_in_record, account.number));
    return decode_lines(*record);
}

Result<std::uint64_t> post(Context& context, const Posting& posting, std::span<const Change> changes) {
    check(posting, changes);
    std::vector<Account> accounts;
    for (const Change& change : changes) {
        auto account = find_account(context.batch, change.account);
        if (!account) broken(posting, fmt::format("there is no account {}", change.account));
        if (auto checked = check_balances(posting, change, *account); !checked) return fail(checked.error());
        accounts.push_back(*account);
    }
    const std::uint64_t first_leaf = context.batch.leaf_count();
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const Change& change = changes[i];
        Account& account = accounts[i];
        account.available = changed(posting, account.available, change.available);
        account.locked = changed(posting, account.locked, change.locked);
        account.held_locks += static_cast<std::uint64_t>(std::int64_t{change.held_locks});
        const std::uint64_t leaf = append_leaf(
            context, LeafKind::entry,
            {first_leaf, change.account, to_word(posting.kind), changes[changes.size() - 1 - i].account,
             change.available.micro(), change.locked.micro(), account.available.micro(),
             account.locked.micro(), posting.reference, posting.memo});
        add_line(context.batch, account, {leaf, context.now, account.available, account.locked});
        save_account(context.batch, change.account, account);
    }
    add_to_sums(context.batch, changes);
    return first_leaf;
}

Result<std::uint64_t> move(Context& context, const Posting& posting, std::string_view from,
                           std::string_view to, Money amount) {
    const auto loss = checked_negate(amount);
    if (!loss) broken(posting, "an amount beyond 64 bits");
    const Change changes[] = {{from, *loss, {}}, {to, amount, {}}};
    return post(context, posting, changes);
}

std::uint64_t append_leaf(Context& context, LeafKind kind, std::span<const LentField> fields) {
    const std::uint64_t index = context.batch.leaf_count();
    auto encoded = encode_leaf(kind, index, to_us(context.now), fields);
    if (!encoded)
        throw BrokenInvariant(fmt::format("a leaf of kind {}: {}", to_string(kind), encoded.error().detail));
    context.batch.append_leaf(*std::move(encoded));
    return index;
}

}  // namespace ee::ledger
