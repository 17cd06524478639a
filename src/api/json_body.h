#pragma once
// A request's body: one flat JSON object, read strictly. What is wrong first is told.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ledger/money.h"
#include "ledger/period.h"

namespace ee::api {

// Take what there may be, each name once, then ask for refusal(): `invalid_json`, `invalid_field:<name>`
// (another type, twice there, or not allowed), `missing_fields`, `unknown_field:<name>` (there and not
// taken), and the ledger's own for amounts, hours and periods. After a refusal what is taken is empty.
class JsonBody {
public:
    // An empty text is an empty object.
    explicit JsonBody(std::string_view json);

    std::string text(std::string_view name);
    // Absent and null are the same.
    std::optional<std::string> optional_text(std::string_view name);
    std::string text_or_empty(std::string_view name) { return optional_text(name).value_or(""); }
    // A name or a reference: given, it is not empty. Empty: absent.
    std::string optional_name(std::string_view name);
    bool flag_or(std::string_view name, bool otherwise);
    std::optional<std::uint64_t> optional_integer(std::string_view name);
    std::vector<std::string> texts(std::string_view name);
    // Must be there; null is nullopt.
    std::optional<std::vector<std::string>> texts_or_null(std::string_view name);
    // An object of whole numbers, none negative, in its order. It must be there.
    std::vector<std::pair<std::string, std::uint64_t>> integers(std::string_view name);
    // A string, or a number by its own text: never through a double. `other` is a second name it may have.
    ledger::Money amount(std::string_view name, std::string_view other = {});
    std::optional<ledger::Money> optional_amount(std::string_view name, std::string_view other = {});
    std::optional<ledger::Money> optional_amount_or_zero(std::string_view name, std::string_view other = {});
    ledger::Hours hours(std::string_view name);
    std::optional<ledger::Hours> optional_hours(std::string_view name);
    // `period`, or `period_start` and `period_end`.
    ledger::Period period();
    std::optional<ledger::Period> optional_period();

    // There, and not null.
    bool has(std::string_view name) const;
    void refuse(std::string code, std::string detail);
    std::optional<Error> refusal();

private:
    enum class Kind : std::uint8_t { text, number, flag, null, list, object };
    struct Member {
        std::string name;
        Kind kind;
        std::string text;  // of a string, or the number's or the object's own spelling
        bool flag = false;
        std::vector<std::string> list{};  // of strings
        bool lists_only_texts = true;
        bool taken = false;
    };

    void parse(std::string_view json);
    Member* take(std::string_view name);
    Member* require(std::string_view name);
    static std::optional<std::uint64_t> integer_in(const Member& member);
    void refuse_kind(const Member& member, std::string_view expected);
    template <class Value, class Read>
    std::optional<Value> decimal(std::string_view name, std::string_view other, Read read);

    std::vector<Member> members_;
    std::string missing_;
    std::optional<Error> refusal_;
};

}  // namespace ee::api
