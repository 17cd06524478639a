#include "ledger/test_books.h"

#include <fmt/format.h>

#include "ledger/account_name.h"
#include "ledger/books.h"
#include "ledger/kept_evidence.h"
#include "ledger/leaf.h"
#include "ledger/locks.h"
#include "ledger/node_records.h"

namespace ee::ledger {
namespace {

__extension__ using Wide = __int128;

// Tables of which other records say the sum.
constexpr Table counted_tables[] = {Table::locks, Table::open_units, Table::earnings};

std::map<std::string, std::string> all(const Store& store, Table table) {
    std::map<std::string, std::string> out;
    store.scan(table, "",
               [&](std::string_view key, std::string_view record) { return out.emplace(key, record), true; });
    return out;
}

std::string unit_key(const Lock& lock) {
    return UnitName{lock.cell, lock.node, lock.app}.key();
}

std::string node_of_unit(std::string_view key) {
    KeyReader in(key);
    in.time();
    return in.text();
}

}  // namespace

std::vector<std::string> BooksCheck::look(const Store& store) {
    broken_.clear();
    lines_.clear();
    counts_ = {};
    for (const Table table : counted_tables)
        for (const auto& [key, record] : all(store, table)) count(table, key, record);
    fold_leaves(store);
    for (const auto& [name, record] : all(store, Table::accounts)) check_account(store, name, record);
    for (const auto& [key, record] : all(store, Table::locks)) check_lock(store, number_at(key, 0));
    for (const auto& [key, record] : all(store, Table::held_locks)) check_held_lock(store, key);
    for (const auto& [id, record] : all(store, Table::nodes)) check_node(store, id, record);
    for (const auto& [key, record] : all(store, Table::units)) check_unit(store, key, record);
    for (const auto& [key, record] : all(store, Table::open_units))
        if (!store.get(Table::units, key)) complain("an open unit that is not there");
    check_accounts_together(store);
    check_lists(store);
    return std::move(broken_);
}

std::vector<std::string> BooksCheck::look(const Store& store, const Changes& changes) {
    broken_.clear();
    Concerned concerned = concerned_by(changes);
    for (const Table table : counted_tables)
        for (const auto& [key, record] : changes.of(table)) count(table, key, record);
    concerned.accounts.merge(fold_leaves(store));
    for (const std::string& name : concerned.accounts) {
        const auto record = store.get(Table::accounts, name);
        record ? check_account(store, name, *record) : complain(name + " is no account, and has entries");
    }
    for (const auto& [key, record] : changes.of(Table::locks)) {
        check_lock(store, number_at(key, 0));
        if (record) concerned.units.insert(unit_key(Lock::decode(*record)));
    }
    for (const auto& [key, record] : changes.of(Table::held_locks))
        if (record) check_held_lock(store, key);
    for (const std::string& id : concerned.nodes) {
        const auto record = store.get(Table::nodes, id);
        record ? check_node(store, id, *record) : complain(id + " is no node, and has what nodes have");
    }
    for (const std::string& key : concerned.units) {
        const auto record = store.get(Table::units, key);
        if (record)
            check_unit(store, key, *record);
        else if (store.get(Table::open_units, key) || counts_.units[key].held_locks != 0)
            complain("an open unit that is not there");
    }
    return std::move(broken_);
}

BooksCheck::Concerned BooksCheck::concerned_by(const Changes& changes) {
    Concerned out;
    for (const auto& [name, record] : changes.of(Table::accounts)) {
        out.accounts.insert(name);
        if (const auto id = node_id_of(name); !id.empty()) out.nodes.emplace(id);
    }
    for (const auto& [id, record] : changes.of(Table::nodes)) out.nodes.insert(id);
    for (const auto& [key, record] : changes.of(Table::open_units)) out.nodes.insert(node_of_unit(key));
    for (const auto& [key, record] : changes.of(Table::earnings)) out.nodes.insert(KeyReader(key).text());
    for (const Table table : {Table::units, Table::open_units, Table::moving_units})
        for (const auto& [key, record] : changes.of(table)) out.units.insert(key);
    return out;
}

void BooksCheck::count(Table table, const std::string& key, std::optional<std::string> record) {
    std::optional<std::string>& counted = counts_.of[{table, key}];
    if (counted) add(table, key, *counted, -1);
    counted = std::move(record);
    if (counted) add(table, key, *counted, 1);
}

void BooksCheck::add(Table table, std::string_view key, std::string_view record, int sign) {
    if (table == Table::open_units) counts_.open_units[node_of_unit(key)] += sign;
    if (table == Table::earnings)
        counts_.earned[KeyReader(key).text()] += sign * static_cast<std::int64_t>(number_at(record, 0));
    if (table != Table::locks) return;
    const Lock lock = Lock::decode(record);
    if (lock.state == LockState::released) return;
    OfUnit& unit = counts_.units[unit_key(lock)];
    unit.locked += sign * lock.amount.micro();
    unit.drawn += sign * lock.drawn.micro();
    if (lock.state != LockState::held) return;
    unit.held_locks += sign;
    Held& held = counts_.accounts[lock.account];
    held.amount += sign * lock.amount.micro();
    held.locks += sign;
}

std::set<std::string> BooksCheck::fold_leaves(const Store& store) {
    std::set<std::string> accounts;
    std::uint64_t transfer = UINT64_MAX;
    Wide transfer_sum = 0;
    for (; leaves_ < store.leaf_count(); ++leaves_) {
        const std::string bytes = store.leaf(leaves_).value();
        const auto leaf = decode_leaf(as_bytes(bytes));
        if (!leaf) {
            complain(fmt::format("leaf {}: {}", leaves_, leaf.error().detail));
            return accounts;
        }
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
        const std::string& account = *accounts.emplace(leaf->text("account")).first;
        Balance& balance = balances_[account];
        balance.available += available;
        balance.locked += locked;
        ++balance.entries;
        if (balance.available != leaf->i64("available_after") ||
            balance.locked != leaf->i64("locked_after"))  // after = before + delta
            complain(fmt::format("entry {} of {} does not follow the one before", leaves_, account));
        if (balance.locked < 0 || (balance.available < 0 && type_of(account) != AccountType::issued))  // L4
            complain(fmt::format("entry {} leaves {} below 0", leaves_, account));
        if (leaf->text("transfer_kind") == "pay" && account.starts_with("node:")) balance.paid += available;
    }
    if (transfer_sum != 0) complain("the last transfer is not balanced");
    return accounts;
}

void BooksCheck::check_account(const Store& store, const std::string& name, const std::string& record) {
    const Account account = Account::decode(record);
    const auto type = type_of(name);
    if (!type) complain(name + " is no account's name");
    const Balance& folded = balances_[name];
    if (account.available.micro() != folded.available || account.locked.micro() != folded.locked ||
        account.entries != folded.entries)  // L5
        complain(fmt::format("{} has {} and {}, its entries say {} and {}", name, account.available.micro(),
                             account.locked.micro(), folded.available, folded.locked));
    if (type != AccountType::issued && account.available.is_negative()) complain(name + " is below 0");
    if (account.locked.is_negative()) complain(name + " has less than 0 locked");
    if (type != AccountType::user && !account.locked.is_zero()) complain(name + " has locks");
    const Held& held = counts_.accounts[name];
    if (account.locked.micro() != held.amount ||
        account.held_locks != static_cast<std::uint64_t>(held.locks))  // K5
        complain(fmt::format("{} has {} locked by {} locks, its held locks are {} of {}", name,
                             account.locked.micro(), account.held_locks, held.locks, held.amount));
    check_journal(store, name, account);
}

// The lines that were not compared yet.
void BooksCheck::check_journal(const Store& store, const std::string& name, const Account& account) {
    const Batch batch(store);
    for (std::uint64_t& number = lines_[name]; number < account.entries; ++number) {
        const EntryLine line = line_of(batch, account, number);
        const std::string bytes = store.leaf(line.leaf_index).value_or("");
        const auto leaf = decode_leaf(as_bytes(bytes));
        if (!leaf || leaf->kind != LeafKind::entry || leaf->text("account") != name ||
            leaf->i64("available_after") != line.available.micro() ||
            leaf->i64("locked_after") != line.locked.micro())
            complain(fmt::format("line {} of {} is not its entry's", number, name));
    }
}

void BooksCheck::check_accounts_together(const Store& store) {
    Wide sum = 0;
    std::size_t records = 0;
    std::map<std::uint64_t, std::string> names;
    for (const auto& [name, record] : all(store, Table::accounts)) {
        const Account account = Account::decode(record);
        sum += static_cast<Wide>(account.available.micro()) + account.locked.micro();
        records += account.entries / lines_in_record;
        if (!names.emplace(account.number, name).second) complain(name + " shares its number");
    }
    if (sum != 0) complain("all accounts together do not hold 0");  // L2, L3
    if (names.size() < balances_.size()) complain("there are entries of accounts that there are not");
    if (records != all(store, Table::entries).size()) complain("lines of journals that are of no account");
}

void BooksCheck::check_lock(const Store& store, std::uint64_t id) {
    const auto lock = find_lock(Batch(store), id);
    if (!lock) return complain(fmt::format("lock {} is not there any more", id));
    if (lock->drawn > lock->amount || lock->drawn.is_negative() || lock->amount <= Money{})
        complain(fmt::format("lock {} of {} is drawn by {}", id, lock->amount.micro(), lock->drawn.micro()));
    const bool is_held = lock->state == LockState::held;
    if (store.get(Table::held_locks, held_lock_key(*lock, id)).has_value() != is_held)
        complain(fmt::format("lock {} is {}, its key says otherwise", id, to_word(lock->state)));
    if (is_held && !store.get(Table::units, unit_key(*lock)))
        complain(fmt::format("lock {} is of no unit", id));  // K5: no orphan
}

void BooksCheck::check_held_lock(const Store& store, const std::string& key) {
    const std::uint64_t id = lock_id_of(key);
    const auto lock = find_lock(Batch(store), id);
    if (!lock || held_lock_key(*lock, id) != key) complain("keys of held locks without locks");
}

void BooksCheck::check_node(const Store& store, const std::string& id, const std::string& record) {
    const Node node = Node::decode(record);
    const std::int64_t open = counts_.open_units[id], earned = counts_.earned[id];
    if (node.open_units != static_cast<std::uint64_t>(open))
        complain(fmt::format("{} counts {} open units, there are {}", id, node.open_units, open));
    std::int64_t parts = 0;
    for (const StakePart& part : node.stake_parts) {
        parts += part.amount.micro();
        if (part.amount <= Money{}) complain(id + " has an empty part of a stake");
    }
    const auto stake = store.get(Table::accounts, stake_account(id));
    if (!stake || Account::decode(*stake).available.micro() != parts)
        complain(fmt::format("the parts of the stake of {} are {}", id, parts));
    if (earned != balances_[node_account(id)].paid)
        complain(fmt::format("{} earned {} by its cells, {} by its entries", id, earned,
                             balances_[node_account(id)].paid));
    if (store.get(Table::tokens, as_text(node.token)) != "node:" + id)
        complain(id + " has a token that is not its own");
}

void BooksCheck::check_unit(const Store& store, const std::string& key, const std::string& record) {
    const Unit unit = Unit::decode(record);
    const OfUnit& of_it = counts_.units[key];
    if (store.get(Table::open_units, key).has_value() == unit.is_settled())
        complain("a unit is open and settled, or neither");
    if (store.get(Table::moving_units, key).has_value() != unit.moving)
        complain("a unit's transfers are to come, or not?");
    if (unit.moving && !unit.is_settled()) complain("an undecided unit's transfers are on their way");
    if (unit.is_settled() && unit.moving != (of_it.held_locks > 0))
        complain("a settled unit has held locks, or waits for none");
    if (!unit.is_settled() && !unit.has_usage && of_it.held_locks == 0) complain("a unit of nothing");
    if (unit.observation_list) {
        const auto list = store.get(Table::observation_lists, as_text(*unit.observation_list));
        if (!list || crypto::sha256(as_bytes(*list)) != *unit.observation_list)
            complain("a list of observations is not that of its digest");
    }
    if (unit.is_settled()) check_settled_unit(store, key, unit);
}

void BooksCheck::check_settled_unit(const Store& store, const std::string& key, const Unit& unit) {
    const OfUnit& of_it = counts_.units[key];
    if (unit.paid.micro() + unit.returned.micro() != of_it.locked ||
        unit.paid.micro() != (unit.outcome == Outcome::pass ? of_it.drawn : 0))  // P4, P10
        complain(fmt::format("{} are paid and {} returned of {}, {} of it drawn", unit.paid.micro(),
                             unit.returned.micro(), of_it.locked, of_it.drawn));
    const auto leaf = decode_leaf(as_bytes(store.leaf(unit.settlement_leaf).value_or("")));
    if (!leaf || leaf->kind != LeafKind::settlement ||
        leaf->bytes("evidence_sha256") !=
            to_bytes(crypto::sha256(as_bytes(evidence_json(Batch(store), unit)))) ||
        leaf->bytes("evidence_sha256") != to_bytes(evidence_digest(unit).value()))  // P12
        complain("a settlement's leaf is not that of its evidence");
}

void BooksCheck::check_lists(const Store& store) {
    std::map<std::string, std::uint64_t> list_names;
    for (const auto& [key, record] : all(store, Table::units))
        if (const Unit unit = Unit::decode(record); unit.observation_list)
            ++list_names[std::string(as_text(*unit.observation_list))];
    const auto lists = all(store, Table::observation_lists),
               names = all(store, Table::observation_list_names);
    if (lists.size() != list_names.size() || names.size() != list_names.size())
        complain("a list of observations is kept that no unit names");
    for (const auto& [digest, count] : list_names) {
        const auto known = names.find(digest);
        if (known == names.end() || number_at(known->second, 0) != count)
            complain("a list of observations is named by more units, or by fewer");
    }
}

}  // namespace ee::ledger
