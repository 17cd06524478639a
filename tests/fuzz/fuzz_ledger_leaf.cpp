// A leaf of any bytes is decoded or refused, and what decodes is the encoding of what it decodes to.
#include <algorithm>

#include "base/check.h"
#include "ledger/leaf.h"

using namespace ee;
using namespace ee::ledger;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto leaf = decode_leaf({data, size});
    if (!leaf) {
        EE_CHECK(leaf.error().code.starts_with("leaf_"));
        return 0;
    }
    const auto again = encode_leaf(*leaf);
    EE_CHECK(again.has_value() && again->size() == size && std::equal(again->begin(), again->end(), data));
    // Every field can be read by its name.
    for (const FieldRule& rule : find_leaf_kind(static_cast<std::uint8_t>(leaf->kind))->fields) {
        if (rule.type == FieldType::text)
            static_cast<void>(leaf->text(rule.name));
        else if (rule.type == FieldType::u64)
            static_cast<void>(leaf->u64(rule.name));
        else if (rule.type == FieldType::i64)
            static_cast<void>(leaf->i64(rule.name));
        else
            static_cast<void>(leaf->bytes(rule.name));
    }
    return 0;
}
