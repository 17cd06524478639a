#include "ledger/audit.h"

#include "ledger/account_name.h"
#include "ledger/books.h"
#include "ledger/operations.h"
#include "ledger/record_fields.h"

namespace ee::ledger {
namespace {

// Whether the leaves of what was done say whose doing it was: the account that moved its own money, or the
// only role that may.
bool names_its_caller(const Context& context, const Command& command) {
    return std::visit(Overloaded{
                          [&](const Transfer& c) {
                              return context.is_account(c.from) || context.is_node(node_id_of(c.from));
                          },
                          [&](const TakeLock& c) { return context.is_account(c.account); },
                          [&](const ReleaseLock&) { return !context.is_admin(); },
                          [&](const ReportUsage&) { return !context.is_admin(); },
                          [&](const Observe&) { return true; },
                          [&](const auto&) { return false; },
                      },
                      command);
}

}  // namespace

std::string CallRecord::encode() const {
    return RecordWriter()
        .integer(to_us(at))
        .text(principal)
        .text(method)
        .text(path)
        .text(request_id)
        .array(address)
        .number(leaf_index)
        .take();
}

CallRecord CallRecord::decode(std::string_view record) {
    RecordReader in(record);
    CallRecord out;
    out.at = fields::read_time(in);
    out.principal = in.text();
    out.method = in.text();
    out.path = in.text();
    out.request_id = in.text();
    out.address = in.array<32>();
    out.leaf_index = in.number();
    in.finish();
    return out;
}

std::string CallRecord::key(std::uint64_t first_leaf) {
    return KeyWriter().number(~first_leaf);
}

std::uint64_t append_call(Context& context) {
    const Request& request = context.request;
    context.call_leaf = append_leaf(
        context, LeafKind::call,
        {context.principal, request.method, request.path, request.content, request.caller.address});
    return *context.call_leaf;
}

void record_call(Context& context, std::uint64_t first_leaf, const Answer& answer) {
    // What the server does by itself is nobody's call; what leaves no leaf has changed nothing.
    if (context.is_server() || context.batch.leaf_count() == first_leaf) return;
    const Request& request = context.request;
    std::optional<std::uint64_t> leaf = context.call_leaf;
    if (!leaf && names_its_caller(context, request.command)) leaf = answer.leaf_index.value_or(first_leaf);
    if (!leaf) leaf = append_call(context);
    const CallRecord record{.at = context.now,
                            .principal = context.principal,
                            .method = request.method,
                            .path = request.path,
                            .request_id = request.request_id,
                            .address = request.caller.address,
                            .leaf_index = *leaf};
    context.batch.put(Table::audit, CallRecord::key(first_leaf), record.encode());
}

Result<Answer> perform(Context& context, const RecordCall&) {
    return Answer{.status = 200, .body = "{}", .leaf_index = append_call(context)};
}

}  // namespace ee::ledger
