#pragma once
// EE_CHECK states what only our own bug can break. It stays on in release builds and ends the process.

namespace ee {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace ee

#define EE_CHECK(condition) \
    (static_cast<bool>(condition) ? void(0) : ::ee::check_failed(#condition, __FILE__, __LINE__))
