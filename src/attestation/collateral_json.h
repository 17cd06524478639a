#pragma once
// Takes the fields of the JSON documents that the vendor signs, strictly. The first wrong one is remembered,
// named by its JSON pointer; what is taken after it is empty.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <simdjson.h>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

class CollateralJson {
public:
    // One object of the document. Lives no longer than its document and the object it was taken from.
    class Object {
    public:
        Object(const Object&) = delete;
        Object& operator=(const Object&) = delete;

        std::string_view text(std::string_view key) const;
        std::uint64_t number(std::string_view key, std::uint64_t max) const;
        WallTime time(std::string_view key) const;
        template <std::size_t N>
        ByteArray<N> hex(std::string_view key) const {
            ByteArray<N> out{};
            read_hex(key, out);
            return out;
        }
        Object object(std::string_view key) const;
        bool has(std::string_view key) const;
        // Calls `each` with every element, all of them objects; an array of `count_min` to `count_max`.
        template <class Each>
        void objects(std::string_view key, std::size_t count_min, std::size_t count_max, Each each) const {
            const auto elements = array(key, count_min, count_max);
            if (!elements) return;
            const Step list{&step_, key, std::nullopt};
            std::size_t index = 0;
            for (const simdjson::dom::element element : *elements)
                each(Object(document_, element, {&list, {}, index++}));
        }
        // An array of strings; absent is empty.
        std::vector<std::string> texts(std::string_view key, std::size_t count_max) const;

        // Refuses the document because of this object's field.
        void refuse(std::string_view key, std::string_view detail) const;

    private:
        friend class CollateralJson;
        // One step of a JSON pointer: a key, or an index.
        struct Step {
            const Step* above;
            std::string_view key;
            std::optional<std::size_t> index;
        };

        Object(CollateralJson& document, simdjson::dom::element element, const Step& step);
        std::optional<simdjson::dom::element> find(std::string_view key) const;
        simdjson::dom::element require(std::string_view key) const;
        std::optional<simdjson::dom::array> array(std::string_view key, std::size_t count_min,
                                                  std::size_t count_max) const;
        void read_hex(std::string_view key, std::span<std::uint8_t> out) const;
        static std::string pointer(const Step& step);

        CollateralJson& document_;
        std::optional<simdjson::dom::object> object_;
        Step step_;
    };

    // `part` names the document in `collateral_malformed:<part>`. At most `size_max` bytes, depth 32.
    CollateralJson(std::string_view part, std::string_view text, std::size_t size_max);
    CollateralJson(const CollateralJson&) = delete;
    CollateralJson& operator=(const CollateralJson&) = delete;

    Object root() { return {*this, root_, {nullptr, {}, std::nullopt}}; }
    const std::optional<Error>& refusal() const { return refusal_; }

private:
    void refuse(std::string_view pointer, std::string_view detail);

    std::string_view part_;
    simdjson::dom::parser parser_;
    simdjson::dom::element root_;
    std::optional<Error> refusal_;
};

}  // namespace ee::attestation
