// A receipt of any bytes is parsed or refused, written the same way again, and verified without a crash.
#include "base/check.h"
#include "ledger/receipt.h"

using namespace ee;
using namespace ee::ledger;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto receipt = parse_receipt(as_text({data, size}));
    if (!receipt) {
        EE_CHECK(receipt.error().code.starts_with("receipt_malformed:/") ||
                 receipt.error().code == "receipt_too_large");
        return 0;
    }
    EE_CHECK(receipt->leaf.path.size() <= path_hashes_max);
    const auto again = parse_receipt(receipt_json(*receipt));
    EE_CHECK(again.has_value() && *again == *receipt);
    const auto verified = verify_receipt(*receipt);
    if (!verified) {
        EE_CHECK(!verified.error().code.empty());
        return 0;
    }
    EE_CHECK(verified->leaf_index() < verified->checkpoint().head.size);
    EE_CHECK(verified->log_key().kind == LeafKind::log_key);
    return 0;
}
