#pragma once
// How many bytes of bodies are held for peers that have not taken them, and how many may be. Each is counted
// where it lies. Belongs to one thread.

#include <cstddef>
#include <functional>
#include <utility>

namespace ee {

// What was let go of: how many requests or connections, and how much they held.
struct Freed {
    std::size_t count = 0;
    std::size_t bytes = 0;

    Freed& operator+=(const Freed& more) {
        count += more.count;
        bytes += more.bytes;
        return *this;
    }
};

class BodyMemory {
public:
    explicit BodyMemory(std::size_t bytes_max) : bytes_max_(bytes_max) {}
    BodyMemory(const BodyMemory&) = delete;
    BodyMemory& operator=(const BodyMemory&) = delete;

    std::size_t held() const { return held_; }
    std::size_t bytes_max() const { return bytes_max_; }
    // From half on, until it is down to a quarter: nothing is begun that may come to hold much.
    bool is_pressed() const { return is_pressed_; }
    // Beyond all: nothing is begun.
    bool is_full() const { return held_ > bytes_max_; }

    // Called when it becomes full, to let go of something, though not within the call; and not again before
    // rearm(), which is for when it is full no more.
    void on_full(std::function<void()> call) { on_full_ = std::move(call); }
    void rearm() { is_told_ = false; }

    void change(std::size_t from, std::size_t to) {
        held_ += to - from;  // Wraps, and back: from is part of what is held.
        is_pressed_ = held_ > bytes_max_ / (is_pressed_ ? 4 : 2);
        if (!is_full() || is_told_ || !on_full_) return;
        is_told_ = true;
        on_full_();
    }

private:
    std::size_t bytes_max_;
    std::size_t held_ = 0;
    bool is_pressed_ = false;
    bool is_told_ = false;
    std::function<void()> on_full_;
};

// What one buffer has of it: given back at the end. Without a memory it only counts.
class HeldBytes {
public:
    HeldBytes() = default;
    // `memory` may be null, and outlives this object.
    explicit HeldBytes(BodyMemory* memory) : memory_(memory) {}
    HeldBytes(HeldBytes&& other) noexcept : memory_(other.memory_), bytes_(std::exchange(other.bytes_, 0)) {}
    HeldBytes& operator=(HeldBytes&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~HeldBytes() { set(0); }

    std::size_t bytes() const { return bytes_; }
    const BodyMemory* memory() const { return memory_; }
    void set(std::size_t bytes) {
        const std::size_t before = std::exchange(bytes_, bytes);
        if (memory_ != nullptr && before != bytes) memory_->change(before, bytes);
    }
    HeldBytes& operator+=(std::size_t bytes) {
        set(bytes_ + bytes);
        return *this;
    }
    HeldBytes& operator-=(std::size_t bytes) {
        set(bytes_ - bytes);
        return *this;
    }

private:
    BodyMemory* memory_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace ee
