// What a control plane says leads on from a checkpoint, of any bytes: a witness never goes on by it to a root
// that nothing leads to, and refuses with a code of its own.
#include "base/check.h"
#include "ledger/witness_proof.h"

using namespace ee;
using namespace ee::ledger;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view proof = as_text({data, size});
    const std::string log_id(log_id_size, 'a');
    const Checkpoint held{.log_id = log_id, .head = {.size = 7, .root = {1}}};
    for (const std::uint64_t told_size : {1U, 7U, 8U, 20U}) {
        const auto next =
            check_continuation(held, {.log_id = log_id, .head = {.size = told_size, .root = {2}}}, proof);
        EE_CHECK(!next);
        const std::string& code = next.error().code;
        EE_CHECK(code.starts_with("witness_") || code.starts_with("consistency_invalid:") ||
                 code.starts_with("inclusion_invalid:"));
    }
    return 0;
}
