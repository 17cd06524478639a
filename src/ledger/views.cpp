#include "ledger/views.h"

#include <charconv>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/hex.h"
#include "ledger/account_name.h"
#include "ledger/answers.h"
#include "ledger/books.h"
#include "ledger/kept_evidence.h"
#include "ledger/ledger.h"
#include "ledger/locks.h"
#include "ledger/nodes.h"
#include "ledger/operations.h"
#include "ledger/settlement.h"

namespace ee::ledger {
namespace {

// Of a unit, and of a piece of a list, but that one unit is always whole.
constexpr std::size_t transfers_shown_max = 1000;
constexpr std::size_t transfers_in_page_max = 5000;
// Of a piece of a list: a unit has its evidence, which nodes and accounts can make large.
constexpr std::size_t page_bytes_max = std::size_t{4} * 1024 * 1024;
// For a piece of a list, whether they are in it or not: one thread reads for everybody.
constexpr std::size_t units_looked_at_max = 2000;

tl::unexpected<Error> forbidden(std::string_view principal) {
    return fail("forbidden", fmt::format("{} may not see this", principal));
}

tl::unexpected<Error> unknown_account(std::string_view name) {
    return fail("unknown_account", fmt::format("no account is called {}", name.substr(0, 150)));
}

// The network's own accounts are opened with the first money that moves there; until then they have none.
std::optional<Account> account_to_show(const Batch& batch, std::string_view name) {
    auto account = find_account(batch, name);
    if (!account && (name == issued_account || name == slashed_account)) account.emplace();
    return account;
}

// A list that is being written, an item at a time.
class ListWriter {
public:
    explicit ListWriter(const Page& page) : json_(body_), left_(page.limit) {
        json_.begin_object().key("items").begin_array();
    }

    // False: the piece is full, and `key` begins the next one.
    bool begin(std::string_view key) {
        if (left_ == 0 || body_.size() > page_bytes_max) {
            next_ = key;
            return false;
        }
        --left_;
        ++count_;
        json_.begin_object();
        return true;
    }
    void end_page() { left_ = 0; }
    void end_page_at(std::string_view key) { next_ = key; }
    JsonWriter& json() { return json_; }
    std::size_t count() const { return count_; }
    void end() { json_.end_object(); }
    std::string take() {
        json_.end_array().key("next_cursor");
        if (next_)
            json_.value(to_base64(as_bytes(*next_)));
        else
            json_.null();
        json_.end_object();
        return std::move(body_);
    }

private:
    std::string body_;
    JsonWriter json_;
    std::size_t left_;
    std::size_t count_ = 0;
    std::optional<std::string> next_;
};

// Of a list whose items are numbered; a cursor of another list begins at the start.
std::uint64_t number_in(std::string_view cursor) {
    return cursor.size() == 8 ? number_at(cursor, 0) : 0;
}

void append_leaf_fields(JsonWriter& json, const Leaf& leaf) {
    const KindRule* rule = find_leaf_kind(static_cast<std::uint8_t>(leaf.kind));
    json.field("kind", to_string(leaf.kind)).field("time", to_text(from_us(leaf.time_us)));
    for (std::size_t i = 0; i < rule->fields.size(); ++i) {
        const FieldRule& field = rule->fields[i];
        json.key(field.name);
        switch (field.type) {
            case FieldType::u64: json.value(leaf.u64(field.name)); break;
            case FieldType::i64: json.value(leaf.i64(field.name)); break;
            case FieldType::text: json.value(leaf.text(field.name)); break;
            case FieldType::bytes: json.value(to_base64(leaf.fields[i])); break;
            case FieldType::digest:
            case FieldType::digest_or_empty: json.value(to_hex(leaf.fields[i])); break;
        }
    }
}

void append_entry(JsonWriter& json, std::uint64_t index, const Leaf& leaf) {
    json.field("leaf_index", index).field("time", to_text(from_us(leaf.time_us)));
    json.field("transfer_id", id_text(leaf.u64("transfer") + 1)).field("kind", leaf.text("transfer_kind"));
    json.field("counterparty", leaf.text("counterparty"));
    field(json, "available_delta_usd", Money(leaf.i64("available_delta")));
    field(json, "locked_delta_usd", Money(leaf.i64("locked_delta")));
    field(json, "available_usd", Money(leaf.i64("available_after")));
    field(json, "locked_usd", Money(leaf.i64("locked_after")));
    json.field_or_null("reference", leaf.text("reference"));
    json.field_or_null("memo", leaf.text("memo"));
}

// What became, or is to become, of the unit's locks: of `account`'s alone, where it is not empty.
struct Transfers {
    Money paid{};
    Money returned{};
    std::size_t shown = 0;
    bool complete = true;
    std::string json{};  // a list
};
Transfers transfers_of(const Batch& batch, const UnitName& name, const Unit& unit, std::string_view account) {
    Transfers out;
    JsonWriter json(out.json);
    json.begin_array();
    for_each_lock(batch, name, account, [&](std::uint64_t id, std::optional<std::uint64_t> leaf) {
        const Lock lock = expect_record(find_lock(batch, id), "a lock of a unit");
        const Money paid = unit.outcome == Outcome::pass ? lock.drawn : Money{};
        const Money returned = checked_subtract(lock.amount, paid).value();
        out.paid = checked_add(out.paid, paid).value();
        out.returned = checked_add(out.returned, returned).value();
        out.complete = out.shown < transfers_shown_max;
        if (!out.complete) return !account.empty();  // of an account, its sums are wanted
        ++out.shown;
        json.begin_object().field("lock_id", id_text(id)).field("account_id", lock.account);
        field(json, "price_usd_per_vcpu_hour", lock.price);
        field(json, "amount_usd", lock.amount);
        field(json, "drawn_usd", lock.drawn);
        field(json, "paid_usd", paid);
        field(json, "returned_usd", returned);
        json.key("leaf_index");
        leaf ? json.value(*leaf) : json.null();
        json.end_object();
        return true;
    });
    json.end_array();
    return out;
}

using VisitUnit = std::function<bool(const UnitName&, std::string_view key, std::string_view record)>;

// The period's units from the key `from` on, until `visit` says false; of `node` alone, where it is not
// empty. Where it has looked at as many as it may: the key of the next one.
std::optional<std::string> look_at_units(const Batch& batch, Grid grid, const Period& period,
                                         std::string_view node, std::string from, const VisitUnit& visit) {
    std::optional<std::string> next;
    for (std::size_t looked_at = 0; !from.empty();) {
        std::string seek;
        batch.scan_from(Table::units, from, [&](std::string_view key, std::string_view record) {
            const UnitName name = UnitName::from_key(key, grid);
            if (name.cell.start >= period.end) return false;
            if (++looked_at > units_looked_at_max) {
                next = key;
                return false;
            }
            if (node.empty() || name.node == node) return visit(name, key, record);
            // A cell's units lie by node: the node's come later in this cell, or in one after it.
            seek = UnitName::prefix(name.cell.start, node);
            if (seek < key) seek = UnitName::prefix(name.cell.end, node);
            return false;
        });
        from = std::move(seek);
    }
    return next;
}

Leaf leaf_at(const Batch& batch, std::uint64_t index) {
    const auto bytes = batch.leaf(index);
    if (!bytes) throw DamagedRecord(fmt::format("leaf {} is missing", index));
    auto leaf = decode_leaf(as_bytes(*bytes));
    if (!leaf) throw DamagedRecord(fmt::format("leaf {}: {}", index, leaf.error().detail));
    return *std::move(leaf);
}

// The balance after the last entry that is not later: a search among the account's lines.
EntryLine line_at(const Batch& batch, const Account& account, LedgerTime at) {
    std::uint64_t first = 0, last = account.entries;  // the first line that is later lies in [first, last]
    while (first < last) {
        const std::uint64_t middle = first + (last - first) / 2;
        if (line_of(batch, account, middle).at <= at)
            first = middle + 1;
        else
            last = middle;
    }
    return first == 0 ? EntryLine{} : line_of(batch, account, first - 1);
}

void append_path(JsonWriter& json, std::string_view name, const ProofPath& path) {
    json.key(name).begin_array();
    for (const Hash& hash : path) json.value(to_base64(hash));
    json.end_array();
}

}  // namespace

Result<Views> Views::open(const Store& store, const Rules& rules, const Caller& caller, LedgerTime now) {
    std::string principal = caller.role == Role::admin ? "admin" : "auditor";
    if (caller.role == Role::holder) {
        auto found = principal_of(Batch(store), caller.token);
        if (!found) return fail("unauthorized", "the token is nobody's");
        principal = *std::move(found);
    }
    return Views(store, rules, caller, std::move(principal), now);
}

bool Views::sees(std::string_view account) const {
    if (sees_all()) return true;
    const std::string_view node = node_id_of(account);
    if (node.empty()) return principal_ == fmt::format("account:{}", account);
    return principal_ == fmt::format("node:{}", node);
}

Result<std::string> Views::balance(std::string_view name, std::optional<LedgerTime> at) const {
    if (!sees(name)) return forbidden(principal_);
    const auto account = account_to_show(*batch_, name);
    if (!account) return unknown_account(name);
    Money available = account->available, locked = account->locked;
    std::uint64_t seq = batch_->leaf_count();
    if (at) {
        const EntryLine line = line_at(*batch_, *account, *at);
        available = line.available;
        locked = line.locked;
        seq = line.leaf_index;
    }
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("account_id", name);
    field(json, "available_usd", available);
    field(json, "locked_usd", locked);
    field(json, "total_usd", checked_add(available, locked).value_or(available));
    json.field("as_of_seq", seq).end_object();
    return body;
}

Result<std::string> Views::entries(std::string_view name, const Page& page) const {
    if (!sees(name)) return forbidden(principal_);
    const auto account = account_to_show(*batch_, name);
    if (!account) return unknown_account(name);
    ListWriter list(page);
    for (std::uint64_t number = number_in(page.after); number < account->entries; ++number) {
        if (!list.begin(std::string(KeyWriter().number(number)))) break;
        const std::uint64_t index = line_of(*batch_, *account, number).leaf_index;
        append_entry(list.json(), index, leaf_at(*batch_, index));
        list.end();
    }
    return list.take();
}

Result<std::string> Views::lock(std::uint64_t id) const {
    const auto lock = find_lock(*batch_, id);
    // To others it does not exist.
    if (!lock || !(sees(lock->account) || principal_ == fmt::format("node:{}", lock->node)))
        return fail("unknown_lock", fmt::format("no lock is called {}", id));
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    append_lock(json, id, *lock);
    json.end_object();
    return body;
}

Result<std::string> Views::node(std::string_view id) const {
    if (!sees(node_account(id))) return forbidden(principal_);
    const auto node = find_node(*batch_, id);
    if (!node) return unknown_node(id);
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    append_node(json, *batch_, id, *node, now_);
    json.end_object();
    return body;
}

Result<std::string> Views::nodes(const Page& page) const {
    if (!sees_all()) return forbidden(principal_);
    ListWriter list(page);
    batch_->scan_from(Table::nodes, page.after, [&](std::string_view id, std::string_view record) {
        if (!list.begin(id)) return false;
        append_node(list.json(), *batch_, id, Node::decode(record), now_);
        list.end();
        return true;
    });
    return list.take();
}

Result<Answer> Views::settlements(const Period& period, const std::optional<std::string>& node,
                                  const std::optional<std::string>& app, const Page& page) const {
    if (const auto cells = count_cells(rules_.grid, period); !cells) return fail(cells.error());
    // Whose part: a node's units, or what an account has in those where it has locks.
    const bool is_node = principal_.starts_with("node:");
    const bool is_account = principal_.starts_with("account:");
    if (!sees_all() && !is_node && !is_account) return forbidden(principal_);
    const std::string own = principal_.substr(principal_.find(':') + 1);
    ListWriter list(page);
    std::optional<std::uint64_t> leaf;
    std::size_t transfers_shown = 0;
    const std::string first = UnitName::prefix(period.start);
    const auto show = [&](const UnitName& name, std::string_view key, std::string_view record) {
        if ((node && *node != name.node) || (app && *app != name.app)) return true;
        if (is_account && !has_part(*batch_, name, own)) return true;
        if (transfers_shown > transfers_in_page_max) list.end_page();
        if (!list.begin(key)) return false;
        Unit unit = Unit::decode(record);
        Transfers transfers{.json = "[]"};
        if (unit.is_settled()) transfers = transfers_of(*batch_, name, unit, is_account ? own : "");
        transfers_shown += transfers.shown;
        if (is_account) {
            unit.paid = transfers.paid;
            unit.returned = transfers.returned;
            unit.uncollected = unit_account_of(*batch_, name, own).uncollected;
        }
        append_unit(list.json(), name, unit);
        list.json().field("moving", unit.moving).key("evidence");
        const std::string evidence = evidence_json(*batch_, unit);
        evidence.empty() ? list.json().null() : list.json().raw(evidence);
        list.json().key("transfers").raw(transfers.json).field("transfers_complete", transfers.complete);
        if (unit.is_settled()) {
            list.json().field("leaf_index", unit.settlement_leaf);
            // It says what all of the unit's accounts got together.
            if (!is_account || !others_have_part(*batch_, name, own)) leaf = unit.settlement_leaf;
        }
        list.end();
        return true;
    };
    const auto next = look_at_units(*batch_, rules_.grid, period, is_node ? own : node.value_or(""),
                                    std::max(first, page.after), show);
    if (next) list.end_page_at(*next);
    Answer answer{.body = list.take()};
    if (list.count() == 1) answer.leaf_index = leaf;
    return answer;
}

Result<std::string> Views::abuse_reports(std::optional<AbuseState> state, const Page& page) const {
    if (!sees_all()) return forbidden(principal_);
    ListWriter list(page);
    batch_->scan_from(Table::abuse, page.after, [&](std::string_view key, std::string_view record) {
        const AbuseReport report = AbuseReport::decode(record);
        if (state && report.state != *state) return true;
        if (!list.begin(key)) return false;
        append_abuse(list.json(), number_at(key, 0), report);
        list.end();
        return true;
    });
    return list.take();
}

Result<std::string> Views::slashings(std::optional<SlashingState> state, const Page& page) const {
    if (!sees_all()) return forbidden(principal_);
    ListWriter list(page);
    batch_->scan_from(Table::slashings, page.after, [&](std::string_view key, std::string_view record) {
        const Slashing slashing = Slashing::decode(record);
        if (state && slashing.state != *state) return true;
        if (!list.begin(key)) return false;
        append_slashing(list.json(), number_at(key, 0), slashing);
        list.end();
        return true;
    });
    return list.take();
}

Result<CallPage> Views::calls(const Page& page) const {
    if (!sees_all()) return forbidden(principal_);
    CallPage out;
    batch_->scan_from(Table::audit, page.after, [&](std::string_view key, std::string_view record) {
        if (out.calls.size() == page.limit) {
            out.next = key;
            return false;
        }
        out.calls.push_back(CallRecord::decode(record));
        return true;
    });
    return out;
}

Result<std::string> Views::leaves(const Page& page) const {
    if (!sees_all()) return forbidden(principal_);
    ListWriter list(page);
    std::uint64_t index = number_in(page.after);
    for (; index < batch_->leaf_count(); ++index) {
        if (!list.begin(std::string(KeyWriter().number(index)))) break;
        list.json().field("leaf_index", index);
        append_leaf_fields(list.json(), leaf_at(*batch_, index));
        list.end();
    }
    return list.take();
}

Result<Answer> Views::dry_run(const Finalize& command) const {
    if (caller_.role != Role::admin) return forbidden(principal_);
    Request request{.caller = caller_, .method = "POST", .path = "dry run"};
    request.command = command;
    const Batch::Mark mark = batch_->mark();
    auto answer = Ledger(rules_).apply(*batch_, request, now_);
    batch_->undo_to(mark);
    if (answer) answer->leaf_index.reset();
    return answer;
}

Result<std::string> head_json(const Store& store) {
    const auto head = newest_head(store);
    if (!head) return fail("log_range", "the log is empty");
    const auto note = parse_checkpoint(head->note);
    if (!note || note->signatures.empty()) throw DamagedRecord("the newest checkpoint is no signed note");
    const NoteSignature& signature = note->signatures.front();
    const auto key = store.leaf(head->log_key_index);
    const auto key_leaf = key ? decode_leaf(as_bytes(*key)) : fail("leaf_missing");
    if (!key_leaf) throw DamagedRecord("the leaf of the log key is missing");
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("tree_size", head->head.size).field("root_hash", to_hex(head->head.root));
    json.field("timestamp", to_text(from_us(head->time_us))).field("log_id", note->checkpoint.log_id);
    json.field("key_id", to_hex(signature.key_hash)).field("signature", to_base64(signature.signature));
    json.field("public_key", to_base64(key_leaf->bytes("public_key")));
    json.field("attested", !key_leaf->bytes("quote").empty()).field("checkpoint", head->note).end_object();
    return body;
}

Result<std::string> inclusion_json(LogReader& reader, const LogTree& tree, std::uint64_t index,
                                   std::uint64_t size) {
    const auto path = reader.inclusion(tree, index, size);
    if (!path) return fail(path.error());
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("leaf_index", index).field("tree_size", size);
    append_path(json, "path", *path);
    json.end_object();
    return body;
}

Result<std::string> consistency_json(LogReader& reader, const LogTree& tree, std::uint64_t older,
                                     std::uint64_t newer) {
    const auto path = reader.consistency(tree, older, newer);
    if (!path) return fail(path.error());
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("first", older).field("second", newer);
    append_path(json, "path", *path);
    json.end_object();
    return body;
}

}  // namespace ee::ledger
