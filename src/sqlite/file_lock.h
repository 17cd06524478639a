#pragma once
// A lock on a file that ends with the process, however it ends.

#include <filesystem>

#include "base/result.h"

namespace ee::sqlite {

class FileLock {
public:
    // `store_locked` when another process holds it; `store_unavailable` when the file cannot be made.
    static Result<FileLock> take(const std::filesystem::path& file);

    ~FileLock();
    FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    FileLock& operator=(FileLock&&) = delete;

private:
    explicit FileLock(int descriptor) : descriptor_(descriptor) {}

    int descriptor_;
};

}  // namespace ee::sqlite
