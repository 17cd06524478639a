#pragma once
// libsodium, which wants to be begun before it is used; any thread, any number of times.

#include <sodium.h>

#include "base/check.h"

namespace ee::crypto {

inline void begin_sodium() {
    static const bool begun = sodium_init() >= 0;
    EE_CHECK(begun);
}

}  // namespace ee::crypto
