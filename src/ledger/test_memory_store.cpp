// Scripts of this test binary run on a store in memory.

#include "ledger/memory_store.h"
#include "ledger/test_script.h"

namespace ee::ledger {

std::unique_ptr<Store> new_test_store() {
    return std::make_unique<MemoryStore>();
}

}  // namespace ee::ledger
