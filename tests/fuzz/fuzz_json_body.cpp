// A body of any bytes is read by every kind of field, and refused or understood, never misread.
#include "api/json_body.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/utf8.h"

using namespace ee;
using namespace ee::api;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    JsonBody body(as_text({data, size}));
    const std::string text = body.text_or_empty("text");
    EE_CHECK(is_utf8(text));
    static_cast<void>(body.flag_or("flag", false));
    static_cast<void>(body.optional_integer("integer"));
    for (const std::string& item : body.texts("texts")) EE_CHECK(is_utf8(item));
    const auto amount = body.optional_amount("amount_usd", "amount");
    const auto stake = body.optional_amount_or_zero("stake");
    const auto hours = body.optional_hours("hours");
    const auto period = body.optional_period();
    const auto refusal = body.refusal();
    if (amount) EE_CHECK(!amount->is_negative() && !amount->is_zero() && *amount <= ledger::amount_max);
    if (stake) EE_CHECK(!stake->is_negative() && *stake <= ledger::amount_max);
    if (hours) EE_CHECK(hours->micro() > 0);
    if (period) EE_CHECK(period->start < period->end);
    if (refusal) EE_CHECK(!refusal->code.empty() && !refusal->detail.empty());
    // What an endpoint that knows no field says of the same bytes.
    JsonBody strict(as_text({data, size}));
    const auto told = strict.refusal();
    EE_CHECK(told.has_value() || !refusal.has_value());
    return 0;
}
