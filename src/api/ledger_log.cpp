// The verifiable log: its head and proofs, for everybody.

#include "api/ledger_request.h"
#include "api/routes.h"
#include "http/target.h"

namespace ee::api {

void get_ledger_head(Request& request) {
    show_public(request, [](const LedgerView& view) -> Result<Shown> {
        auto body = ledger::head_json(view.store);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

void get_ledger_entries(Request& request) {
    const auto page = page_of(request.query);
    if (!page) return request.refuse(page.error());
    show(request, [page = *page](const ledger::Views& views) -> Result<Shown> {
        auto body = views.leaves(page);
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

void get_inclusion_proof(Request& request) {
    const auto index = number_in(request.query, "leaf_index"), size = number_in(request.query, "tree_size");
    for (const auto* parameter : {&index, &size})
        if (!*parameter) return request.refuse(parameter->error());
    if (!*index) return request.refuse({"invalid_parameter:leaf_index", "which leaf is to be proven"});
    show_public(request, [index = **index, size = *size](const LedgerView& view) -> Result<Shown> {
        const auto tree = view.tree();
        if (!tree) return fail(tree.error());
        auto body = ledger::inclusion_json(view.log, **tree, index, size.value_or((*tree)->size()));
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

void get_consistency_proof(Request& request) {
    const auto first = number_in(request.query, "first"), second = number_in(request.query, "second");
    for (const auto* parameter : {&first, &second})
        if (!*parameter) return request.refuse(parameter->error());
    if (!*first) return request.refuse({"invalid_parameter:first", "from which size on"});
    show_public(request, [first = **first, second = *second](const LedgerView& view) -> Result<Shown> {
        const auto tree = view.tree();
        if (!tree) return fail(tree.error());
        auto body = ledger::consistency_json(view.log, **tree, first, second.value_or((*tree)->size()));
        if (!body) return fail(body.error());
        return Shown{*std::move(body)};
    });
}

}  // namespace ee::api
