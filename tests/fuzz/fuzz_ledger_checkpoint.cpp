// A checkpoint of any bytes is parsed or refused; its text is the one that is signed, and nobody signed it.
#include "base/check.h"
#include "ledger/checkpoint.h"

using namespace ee;
using namespace ee::ledger;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view note = as_text({data, size});
    const auto parsed = parse_checkpoint(note);
    if (!parsed) {
        EE_CHECK(parsed.error().code.starts_with("checkpoint_"));
        return 0;
    }
    EE_CHECK(is_log_id(parsed->checkpoint.log_id) && parsed->checkpoint.head.size <= tree_size_max);
    EE_CHECK(!parsed->signatures.empty() && parsed->signatures.size() <= checkpoint_signatures_max);
    EE_CHECK(note.starts_with(checkpoint_text(parsed->checkpoint) + "\n"));
    // A key that signed nothing.
    ByteArray<32> raw{};
    raw.fill(2);
    EE_CHECK(!verify_checkpoint(note, crypto::Ed25519PublicKey::from_raw(raw)));
    return 0;
}
