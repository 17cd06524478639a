#pragma once
// Identities as types: an AgentId is not an AppName, and neither is made from a string by accident.

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace ee {

template <class Tag>
class StrongId {
public:
    StrongId() = default;
    explicit StrongId(std::string value) : value_(std::move(value)) {}

    const std::string& value() const { return value_; }
    bool empty() const { return value_.empty(); }

    friend auto operator<=>(const StrongId&, const StrongId&) = default;

private:
    std::string value_;
};

}  // namespace ee

template <class Tag>
struct std::hash<ee::StrongId<Tag>> {
    std::size_t operator()(const ee::StrongId<Tag>& id) const noexcept {
        return std::hash<std::string>{}(id.value());
    }
};
