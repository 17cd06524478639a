#include "ledger/test_books.h"

#include <fmt/format.h>

#include "ledger/account_name.h"
#include "ledger/books.h"
#include "ledger/kept_evidence.h"
#include "ledger/leaf.h"
#include "ledger/node_records.h"

namespace ee::ledger {
namespace {

__extension__ using Wide = __int128;

std::map<std::string, std::string> all(const Store& store, Table table) {
    std::map<std::string, std::string> out;
    store.scan(table, "",
               [&](std::string_view key, std::string_view record) { return out.emplace(key, record), true; });
    return out;
}

}  // namespace

std::vector<std::string> BooksCheck::look(const Store& store) {
    broken_.clear();
    fold_leaves(store);
    check_accounts(store);
    check_locks(store);
    check_nodes(store);
    check_units(store);
    return std::move(broken_);
}

void BooksCheck::fold_leaves(const Store& store) {
    std::uint64_t transfer = UINT64_MAX;
    Wide transfer_sum = 0;
    for (; leaves_ < store.leaf_count(); ++leaves_) {
        const std::string bytes = store.leaf(leaves_).value();
        const auto leaf = decode_leaf(as_bytes(bytes));
        if (!leaf) return complain(fmt::format("leaf {}: {}", leaves_, leaf.error().detail));
        if (leaf->seq != leaves_) complain(fmt::format("leaf {} says it is {}", leaves_, leaf->seq));  // L7
        if (leaf->time_us < last_time_) complain(fmt::format("leaf {} is older than the last", leaves_));
        last_time_ = leaf->time_us;
        const bool is_entry = leaf->kind == LeafKind::entry;
        if (!is_entry || leaf->u64("transfer") != transfer) {
            if (transfer_sum != 0) complain(fmt::format("transfer {} is not balanced", transfer));  // L1
            transfer_sum = 0;
        }
        if (!is_entry) continue;
        transfer = leaf->u64("transfer");
        const std::int64_t available = leaf->i64("available_delta"), locked = leaf->i64("locked_delta");
        transfer_sum += static_cast<Wide>(available) + locked;
        if (available == 0 && locked == 0) complain(fmt::format("entry {} moves nothing", leaves_));
        Balance& balance = balances_[std::string(leaf->text("account"))];
        balance.available += available;
        balance.locked += locked;
        ++balance.entries;
        if (balance.available != leaf->i64("available_after") ||
            balance.locked != leaf->i64("locked_after"))  // after = before + delta
            complain(
                fmt::format("entry {} of {} does not follow the one before", leaves_, leaf->text("account")));
        if (balance.locked < 0 ||
            (balance.available < 0 && type_of(leaf->text("account")) != AccountType::issued))  // L4
            complain(fmt::format("entry {} leaves {} below 0", leaves_, leaf->text("account")));
        if (leaf->text("transfer_kind") == "pay" && leaf->text("account").starts_with("node:"))
            balance.paid += available;
    }
    if (transfer_sum != 0) complain("the last transfer is not balanced");
}

void BooksCheck::check_accounts(const Store& store) {
    Wide sum = 0;
    std::map<std::uint64_t, std::string> names;
    for (const auto& [name, record] : all(store, Table::accounts)) {
        const Account account = Account::decode(record);
        const auto type = type_of(name);
        if (!type) complain(name + " is no account's name");
        sum += static_cast<Wide>(account.available.micro()) + account.locked.micro();
        const Balance& folded = balances_[name];
        if (account.available.micro() != folded.available || account.locked.micro() != folded.locked ||
            account.entries != folded.entries)  // L5
            complain(fmt::format("{} has {} and {}, its entries say {} and {}", name,
                                 account.available.micro(), account.locked.micro(), folded.available,
                                 folded.locked));
        if (type != AccountType::issued && account.available.is_negative()) complain(name + " is below 0");
        if (account.locked.is_negative()) complain(name + " has less than 0 locked");
        if (type != AccountType::user && !account.locked.is_zero()) complain(name + " has locks");
        if (!names.emplace(account.number, name).second) complain(name + " shares its number");
    }
    if (sum != 0) complain("all accounts together do not hold 0");  // L2, L3
    if (names.size() < balances_.size()) complain("there are entries of accounts that there are not");
    std::size_t records = 0;
    const Batch batch(store);
    for (const auto& [name, record] : all(store, Table::accounts)) {
        const Account account = Account::decode(record);
        records += account.entries / lines_in_record;
        for (std::uint64_t number = 0; number < account.entries; ++number) {
            const EntryLine line = line_of(batch, account, number);
            const std::string bytes = store.leaf(line.leaf_index).value_or("");
            const auto leaf = decode_leaf(as_bytes(bytes));
            if (!leaf || leaf->kind != LeafKind::entry || leaf->text("account") != name ||
                leaf->i64("available_after") != line.available.micro() ||
                leaf->i64("locked_after") != line.locked.micro())
                complain(fmt::format("line {} of {} is not its entry's", number, name));
        }
    }
    if (records != all(store, Table::entries).size()) complain("lines of journals that are of no account");
}

void BooksCheck::check_locks(const Store& store) {
    std::map<std::string, std::pair<std::int64_t, std::uint64_t>> held;
    std::size_t held_count = 0;
    const auto keys = all(store, Table::held_locks);
    for (const auto& [key, record] : all(store, Table::locks)) {
        const Lock lock = Lock::decode(record);
        const std::uint64_t id = number_at(key, 0);
        if (lock.drawn > lock.amount || lock.drawn.is_negative() || lock.amount <= Money{})
            complain(
                fmt::format("lock {} of {} is drawn by {}", id, lock.amount.micro(), lock.drawn.micro()));
        if (lock.state == LockState::held) {
            held[lock.account].first += lock.amount.micro();
            ++held[lock.account].second;
            ++held_count;
        }
        if (keys.contains(held_lock_key(lock, id)) != (lock.state == LockState::held))
            complain(fmt::format("lock {} is {}, its key says otherwise", id, to_word(lock.state)));
        const std::string unit = UnitName{lock.cell, lock.node, lock.app}.key();
        if (lock.state == LockState::held && !store.get(Table::units, unit))
            complain(fmt::format("lock {} is of no unit", id));  // K5: no orphan
    }
    if (held_count != keys.size()) complain("keys of held locks without locks");
    for (const auto& [name, record] : all(store, Table::accounts)) {
        const Account account = Account::decode(record);
        if (account.locked.micro() != held[name].first || account.held_locks != held[name].second)
            complain(fmt::format("{} has {} locked by {} locks, its held locks are {} of {}", name,
                                 account.locked.micro(), account.held_locks, held[name].second,
                                 held[name].first));
    }
}

void BooksCheck::check_nodes(const Store& store) {
    std::map<std::string, std::uint64_t> open;
    for (const auto& [key, record] : all(store, Table::open_units))
        ++open[UnitName::from_key(key, Grid::hour).node];
    std::map<std::string, std::int64_t> earned;
    for (const auto& [key, record] : all(store, Table::earnings)) {
        KeyReader in(key);
        earned[in.text()] += static_cast<std::int64_t>(number_at(record, 0));
    }
    for (const auto& [id, record] : all(store, Table::nodes)) {
        const Node node = Node::decode(record);
        if (node.open_units != open[id])
            complain(fmt::format("{} counts {} open units, there are {}", id, node.open_units, open[id]));
        std::int64_t parts = 0;
        for (const StakePart& part : node.stake_parts) {
            parts += part.amount.micro();
            if (part.amount <= Money{}) complain(id + " has an empty part of a stake");
        }
        const auto stake = store.get(Table::accounts, stake_account(id));
        if (!stake || Account::decode(*stake).available.micro() != parts)
            complain(fmt::format("the parts of the stake of {} are {}", id, parts));
        if (earned[id] != balances_[node_account(id)].paid)
            complain(fmt::format("{} earned {} by its cells, {} by its entries", id, earned[id],
                                 balances_[node_account(id)].paid));
        if (store.get(Table::tokens, as_text(node.token)) != "node:" + id)
            complain(id + " has a token that is not its own");
    }
}

void BooksCheck::check_units(const Store& store) {
    const auto units = all(store, Table::units);
    const auto open = all(store, Table::open_units), moving = all(store, Table::moving_units);
    std::map<std::string, std::uint64_t> held;
    for (const auto& [key, record] : all(store, Table::held_locks)) {
        KeyReader in(key);
        const std::int64_t start = in.time();
        const std::string node = in.text();
        ++held[KeyWriter().time(start).text(node).text(in.text())];
    }
    std::map<std::string, std::pair<std::int64_t, std::int64_t>> locked;  // and drawn
    for (const auto& [key, record] : all(store, Table::locks)) {
        const Lock lock = Lock::decode(record);
        if (lock.state == LockState::released) continue;
        auto& [amount, drawn] = locked[UnitName{lock.cell, lock.node, lock.app}.key()];
        amount += lock.amount.micro();
        drawn += lock.drawn.micro();
    }
    std::map<std::string, std::uint64_t> list_names;
    for (const auto& [key, record] : units) {
        const Unit unit = Unit::decode(record);
        if (unit.observation_list) ++list_names[std::string(as_text(*unit.observation_list))];
        const auto& [amount, drawn] = locked[key];
        if (unit.is_settled() &&
            (unit.paid.micro() + unit.returned.micro() != amount ||
             unit.paid.micro() != (unit.outcome == Outcome::pass ? drawn : 0)))  // P4, P10
            complain(fmt::format("{} are paid and {} returned of {}, {} of it drawn", unit.paid.micro(),
                                 unit.returned.micro(), amount, drawn));
        if (open.contains(key) == unit.is_settled()) complain("a unit is open and settled, or neither");
        if (moving.contains(key) != unit.moving) complain("a unit's transfers are to come, or not?");
        if (unit.moving && !unit.is_settled()) complain("an undecided unit's transfers are on their way");
        if (unit.is_settled() && unit.moving != (held[key] > 0))
            complain("a settled unit has held locks, or waits for none");
        if (!unit.is_settled() && !unit.has_usage && held[key] == 0) complain("a unit of nothing");
        if (!unit.is_settled()) continue;
        const auto leaf = decode_leaf(as_bytes(store.leaf(unit.settlement_leaf).value_or("")));
        if (!leaf || leaf->kind != LeafKind::settlement ||
            leaf->bytes("evidence_sha256") !=
                to_bytes(crypto::sha256(as_bytes(evidence_json(Batch(store), unit)))) ||
            leaf->bytes("evidence_sha256") != to_bytes(evidence_digest(unit).value()))  // P12
            complain("a settlement's leaf is not that of its evidence");
    }
    const auto lists = all(store, Table::observation_lists),
               names = all(store, Table::observation_list_names);
    if (lists.size() != list_names.size() || names.size() != list_names.size())
        complain("a list of observations is kept that no unit names");
    for (const auto& [digest, count] : list_names) {
        const auto list = lists.find(digest), known = names.find(digest);
        if (list == lists.end() || as_text(crypto::sha256(as_bytes(list->second))) != digest)
            complain("a list of observations is not that of its digest");
        if (known == names.end() || number_at(known->second, 0) != count)
            complain("a list of observations is named by more units, or by fewer");
    }
    for (const auto& [key, record] : open)
        if (!units.contains(key)) complain("an open unit that is not there");
}

}  // namespace ee::ledger
