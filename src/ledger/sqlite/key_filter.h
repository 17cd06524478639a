#pragma once
// Which keys a table does not have, without a look into it: nearly every idempotency key is a new one, they
// lie anywhere in a table that only grows, and a look costs a page of it.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/text_hash.h"

namespace ee::ledger {

// Of the store that writes the table, one thread at a time. A Bloom filter (Bloom 1970) for the keys of each
// beginning, made of the table's own when it is asked for first, or has become too small. Some 10 to 20 bits
// a key, of 12 or 16 bits of which a beginning is; beyond `bytes_max` it is given up, and all keys may be
// there.
class KeyFilter {
public:
    explicit KeyFilter(unsigned prefix_bits, std::size_t bytes_max = 64u << 20)
        : prefix_bits_(prefix_bits), bytes_max_(bytes_max), partitions_(std::size_t{1} << prefix_bits) {}

    // false: the table has no such key. scan(from, visit) shows all that the table has from `from` on, in
    // their order, until visit(key) says false; it may throw, and nothing has happened then.
    template <class Scan>
    bool may_have(std::string_view key, const Scan& scan) {
        if (is_off_) return true;
        const std::uint32_t prefix = prefix_of(key);
        Partition& partition = partitions_[prefix];
        if (partition.blocks.empty()) {
            std::vector<std::uint64_t> hashes;
            scan(first_key_of(prefix), [&](std::string_view seen) {
                if (prefix_of(seen) != prefix) return false;
                hashes.push_back(hash_of(seen));
                return true;
            });
            fill(partition, hashes);
        }
        return is_off_ || partition.has(hash_of(key));
    }

    // A key that the table has from now on.
    void add(std::string_view key) {
        Partition& partition = partitions_[prefix_of(key)];
        if (partition.blocks.empty()) return;
        if (partition.keys == partition.blocks.size() * keys_in_block) return empty(partition);
        partition.add(hash_of(key));
    }

    // Nothing is known any more.
    void clear() {
        for (Partition& partition : partitions_) empty(partition);
        is_off_ = false;
    }

    std::size_t bytes() const { return bytes_; }

private:
    // The bits of a key are all in one line of the processor's cache.
    using Block = std::array<std::uint64_t, 8>;
    static constexpr std::size_t keys_in_block = 51;
    static constexpr int bits_of_key = 6;

    struct Partition {
        bool has(std::uint64_t hash) const {
            const Block& block = blocks[block_of(hash)];
            bool all = true;
            for (int i = 0; i < bits_of_key; ++i)
                all = all && (block[word_of(hash, i)] & bit_of(hash, i)) != 0;
            return all;
        }
        void add(std::uint64_t hash) {
            Block& block = blocks[block_of(hash)];
            for (int i = 0; i < bits_of_key; ++i) block[word_of(hash, i)] |= bit_of(hash, i);
            ++keys;
        }

        std::vector<Block> blocks{};  // none: not known
        std::size_t keys = 0;

    private:
        std::size_t block_of(std::uint64_t hash) const { return (hash >> 32) * blocks.size() >> 32; }
        // Nine bits of the hash for each of the key's bits in the block.
        static std::uint64_t place_of(std::uint64_t hash, int i) {
            return (hash * 0x9e3779b97f4a7c15) >> (9 * i) & 511;
        }
        static std::size_t word_of(std::uint64_t hash, int i) { return place_of(hash, i) / 64; }
        static std::uint64_t bit_of(std::uint64_t hash, int i) {
            return std::uint64_t{1} << place_of(hash, i) % 64;
        }
    };

    static std::uint64_t hash_of(std::string_view key) { return TextHash{}(key); }

    std::uint32_t prefix_of(std::string_view key) const {
        const auto byte = [&](std::size_t i) {
            return i < key.size() ? static_cast<std::uint8_t>(key[i]) : std::uint8_t{0};
        };
        return (std::uint32_t{byte(0)} << 8 | byte(1)) >> (16 - prefix_bits_);
    }
    // A key that ends early has zeros there.
    std::string first_key_of(std::uint32_t prefix) const {
        const std::uint32_t two = prefix << (16 - prefix_bits_);
        std::string key{static_cast<char>(two >> 8), static_cast<char>(two)};
        while (!key.empty() && key.back() == '\0') key.pop_back();
        return key;
    }

    // Room for as many keys again.
    void fill(Partition& partition, const std::vector<std::uint64_t>& hashes) {
        const std::size_t blocks = 2 * hashes.size() / keys_in_block + 1;
        if (bytes_ + blocks * sizeof(Block) > bytes_max_) {
            clear();
            is_off_ = true;
            return;
        }
        partition.blocks.resize(blocks);
        bytes_ += blocks * sizeof(Block);
        for (const std::uint64_t hash : hashes) partition.add(hash);
    }
    void empty(Partition& partition) {
        bytes_ -= partition.blocks.size() * sizeof(Block);
        partition = {};
    }

    const unsigned prefix_bits_;
    const std::size_t bytes_max_;
    std::vector<Partition> partitions_;
    std::size_t bytes_ = 0;
    bool is_off_ = false;
};

}  // namespace ee::ledger
