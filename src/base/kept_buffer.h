#pragma once
// Buffers that are used again and again.

#include <cstddef>
#include <string>

namespace ee {

// What a buffer may keep while it is empty; one that grew beyond for something large is given back.
constexpr std::size_t kept_capacity = 16 * 1024;
// What one keeps that is filled and taken all the time, as long as its connection or its stream lives: to get
// it anew for each large piece would cost more than to write them.
constexpr std::size_t busy_capacity = 1024 * 1024;

// Gives its memory back: an empty string that is assigned to it would not, not even `{}`.
inline void release_buffer(std::string& buffer) {
    std::string().swap(buffer);
}

inline void empty_buffer(std::string& buffer) {
    if (buffer.capacity() > kept_capacity) release_buffer(buffer);
    buffer.clear();
}

// What has been taken, up to `taken`, leaves the buffer once it is half of it: a peer that takes its time,
// and never all, must not make it grow.
inline void drop_taken(std::string& buffer, std::size_t& taken) {
    if (taken == buffer.size()) {
        if (buffer.capacity() > busy_capacity) release_buffer(buffer);
        buffer.clear();
        taken = 0;
    } else if (taken > kept_capacity && taken >= buffer.size() / 2) {
        buffer.erase(0, taken);
        taken = 0;
    }
}

}  // namespace ee
