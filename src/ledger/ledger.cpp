#include "ledger/ledger.h"

#include <fmt/format.h>

#include "base/check.h"
#include "ledger/account_name.h"
#include "ledger/audit.h"
#include "ledger/books.h"
#include "ledger/operations.h"
#include "ledger/records.h"
#include "ledger/refusals.h"

namespace ee::ledger {
namespace {

// Whether the caller may ask for this at all.
bool is_allowed(const Context& context, const Command& command) {
    const Role role = context.request.caller.role;
    const bool admin = context.is_admin();
    return std::visit(
        Overloaded{
            [&](const RotateToken& c) { return admin || context.is_account(c.account); },
            [&](const Transfer& c) {
                const std::string_view node = node_id_of(c.from);
                return admin || context.is_account(c.from) ||
                       (type_of(c.from) == AccountType::node && context.is_node(node));
            },
            [&](const TakeLock& c) { return admin || context.is_account(c.account); },
            [&](const ReleaseLock&) { return admin || context.principal.starts_with("account:"); },
            [&](const ReportUsage&) { return admin || role == Role::uptime; },
            [&](const RegisterNode& c) { return admin || context.is_node(c.node); },
            [&](const Observe&) { return role == Role::uptime; },
            [&](const FileAbuse&) { return role == Role::launcher; },
            [&](const Finalize&) { return admin || context.is_server(); },
            [&](const RecordSlots&) { return context.is_server(); },
            [&](const RecordOutage&) { return context.is_server(); },
            [&](const ProposeFraud&) { return context.is_server(); },
            [&](const RecordLeaf&) { return context.is_server(); },
            [&](const SettleMore&) { return context.is_server(); },
            [&](const RecordCall&) { return !context.is_server(); },
            [&](const auto&) { return admin; },
        },
        command);
}

// A retry of these must be recognised: they move or hold money.
bool needs_key(const Command& command) {
    return std::visit(Overloaded{
                          [](const Purchase& c) { return c.payment_ref.empty(); },
                          [](const Redeem& c) { return c.payment_ref.empty(); },
                          [](const Transfer&) { return true; },
                          [](const TakeLock&) { return true; },
                          [](const ReportUsage& c) { return c.report_id.empty(); },
                          [](const auto&) { return false; },
                      },
                      command);
}

Result<std::string> find_principal(const Batch& batch, const Caller& caller) {
    switch (caller.role) {
        case Role::admin: return "admin";
        case Role::launcher: return "launcher";
        case Role::uptime: return "uptime";
        case Role::auditor: return "auditor";
        case Role::server: return "server";
        case Role::app: return "app:" + caller.app;
        case Role::holder: break;
    }
    auto principal = principal_of(batch, caller.token);
    if (!principal) return fail("unauthorized", "the token is nobody's");
    return *std::move(principal);
}

crypto::Sha256 digest_of(const Request& request) {
    const std::string route = KeyWriter().text(request.method).text(request.path);
    return crypto::sha256({as_bytes(route), request.content});
}

Result<Answer> replay(const KeyRecord& record, const Request& request) {
    if (record.request != digest_of(request))
        return fail("idempotency_key_reused", "this key was used for another request");
    if (record.refused) return fail(record.code, record.body);
    return Answer{.status = record.status,
                  .body = record.body,
                  .leaf_index = record.leaf_index,
                  .secret = record.secret,
                  .replayed = true};
}

KeyRecord record_of(const Request& request, const Result<Answer>& answer) {
    KeyRecord record{.request = digest_of(request)};
    if (answer) {
        record.status = answer->status;
        record.leaf_index = answer->leaf_index;
        record.secret = answer->secret;
        record.body = answer->body;
    } else {
        record.refused = true;
        record.code = answer.error().code;
        record.body = answer.error().detail;
    }
    return record;
}

// Keys lie anywhere in their table and stay for ever: what is kept there is small, and the answers lie one
// after another.
void remember(Batch& batch, std::string key, const KeyRecord& record) {
    std::string number = KeyWriter().number(next_number(batch, "answer_count"));
    batch.put(Table::answers, number, record.encode());
    batch.put(Table::keys, std::move(key), std::move(number));
}

std::optional<KeyRecord> remembered(const Batch& batch, std::string_view key) {
    auto record = batch.get(Table::keys, key);
    if (!record) return std::nullopt;
    if (record->size() == appended_key_bytes) record = batch.get(Table::answers, *record);
    if (!record) throw DamagedRecord("the answer under an idempotency key is missing");
    return KeyRecord::decode(*record);
}

}  // namespace

std::optional<std::string> principal_of(const Batch& batch, const crypto::Sha256& token) {
    return batch.get(Table::tokens, as_text(token));
}

Result<Ledger::Opened> Ledger::open(Batch& batch, const Request& request, LedgerTime now,
                                    std::optional<Result<Answer>>& known) const {
    auto principal = find_principal(batch, request.caller);
    if (!principal) return fail(std::move(principal.error()));
    Opened out{{.batch = batch, .rules = rules_, .now = now, .request = request, .principal = *principal},
               {}};
    if (!is_allowed(out.context, request.command))
        return fail("forbidden", fmt::format("{} may not do this", out.context.principal));
    if (request.idempotency_key.empty()) {
        if (needs_key(request.command))
            return fail(
                "idempotency_key_required",
                fmt::format("an Idempotency-Key of 1 to {} characters is needed here", idempotency_key_max));
        return out;
    }
    if (request.idempotency_key.size() > idempotency_key_max)
        return fail("invalid_field:idempotency_key",
                    fmt::format("an Idempotency-Key has 1 to {} characters, this one {}", idempotency_key_max,
                                request.idempotency_key.size()));
    out.key = KeyRecord::key(out.context.principal, request.idempotency_key);
    if (const auto record = remembered(batch, out.key)) known = replay(*record, request);
    return out;
}

Result<Answer> Ledger::apply(Batch& batch, const Request& request, LedgerTime now, bool* was_known) const {
    std::optional<Result<Answer>> known;
    auto opened = open(batch, request, now, known);
    if (was_known != nullptr) *was_known = known.has_value();
    if (!opened) return fail(std::move(opened.error()));
    if (known) return *std::move(known);
    const Batch::Mark mark = batch.mark();
    const std::uint64_t first_leaf = batch.leaf_count();
    auto answer =
        std::visit([&](const auto& command) { return perform(opened->context, command); }, request.command);
    if (answer)
        record_call(opened->context, first_leaf, *answer);
    else
        batch.undo_to(mark);
    if (!opened->key.empty() && (answer || is_business_refusal(answer.error().code)))
        remember(batch, std::move(opened->key), record_of(request, answer));
    return answer;
}

std::optional<Result<Answer>> Ledger::check_finalize(Batch& batch, const Request& request,
                                                     LedgerTime now) const {
    std::optional<Result<Answer>> known;
    auto opened = open(batch, request, now, known);
    if (!opened) return fail(std::move(opened.error()));
    if (known) return known;
    const auto checked = check(opened->context, std::get<Finalize>(request.command));
    if (!checked) return fail(checked.error());
    return std::nullopt;
}

}  // namespace ee::ledger
