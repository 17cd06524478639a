// Whether a machine is one that the allowlist describes. allowlist.cpp reads the text.

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "attestation/allowlist.h"
#include "base/hex.h"
#include "base/json_writer.h"

namespace ee::attestation {
namespace {

Error mismatch(std::string_view what, std::string detail) {
    return {fmt::format("measurement_mismatch:{}", what), std::move(detail)};
}

std::string json_of(const Claim& claim) {
    if (const auto* text = std::get_if<std::string>(&claim)) {
        std::string out;
        append_json_string(out, *text);
        return out;
    }
    if (const auto* flag = std::get_if<bool>(&claim)) return *flag ? "true" : "false";
    return "null";
}

template <class T, class Describe>
std::string one_of(const std::vector<T>& values, Describe describe) {
    std::string out = describe(values.front());
    if (values.size() > 1) out += fmt::format(" or {} others", values.size() - 1);
    return out;
}

template <class T>
bool has(const std::vector<T>& values, const T& value) {
    return std::find(values.begin(), values.end(), value) != values.end();
}

bool allows_sealed(const AllowedClaims& claims) {
    const auto sealed = claims.find("sealed");
    return sealed != claims.end() && has(sealed->second, Claim(true));
}

// What was compared: how many entries agree, and the first that does not.
struct Comparison {
    std::size_t agreed = 0;
    std::optional<Error> difference;

    // The words are made once: an allowlist may differ in thousands of entries.
    template <class Say>
    void differs(Say say) {
        if (!difference) difference = say();
    }
};

// Names the allowlist or one of its builds, for the words.
using Whose = std::function<std::string()>;

void compare_registers(const AllowedRegisters& allowed, const TdReport& report, const Whose& whose,
                       Comparison& out) {
    for (const auto& [which, values] : allowed) {
        const Measurement& measured = register_of(report, which);
        if (has(values, measured)) {
            ++out.agreed;
            continue;
        }
        out.differs([&, which = which, &values = values] {
            return mismatch(to_string(which),
                            fmt::format("the quote has {}, {} {}", to_hex(measured), whose(),
                                        one_of(values, [](const Measurement& m) { return to_hex(m); })));
        });
    }
}

void compare_claims(const AllowedClaims& allowed, const Claims& claims, const Whose& whose, Comparison& out) {
    for (const auto& [name, values] : allowed) {
        const auto claim = claims.find(name);
        const bool claimed = claim != claims.end();
        if (claimed && has(values, claim->second)) {
            ++out.agreed;
            continue;
        }
        out.differs([&, &name = name, &values = values] {
            return mismatch(
                name, fmt::format("the agent claims {}, {} {}", claimed ? json_of(claim->second) : "nothing",
                                  whose(), one_of(values, json_of)));
        });
    }
}

// nullptr claims: only registers are compared.
Result<AllowlistMatch> match(const Allowlist& allowlist, const TdReport& report, const Claims* claims) {
    Comparison all;
    const Whose of_all = [] { return std::string("the allowlist"); };
    compare_registers(allowlist.quote_measurements, report, of_all, all);
    if (claims != nullptr) compare_claims(allowlist.measurements, *claims, of_all, all);
    if (all.difference) return fail(std::move(*all.difference));
    if (allowlist.builds.empty()) return AllowlistMatch{{}, allows_sealed(allowlist.measurements)};

    std::optional<Comparison> closest;
    for (const AllowlistBuild& build : allowlist.builds) {
        Comparison one;
        const Whose whose = [&] {
            return fmt::format("build \"{}\", the closest of {},", build.name, allowlist.builds.size());
        };
        compare_registers(build.quote_measurements, report, whose, one);
        if (claims != nullptr) compare_claims(build.measurements, *claims, whose, one);
        if (!one.difference) {
            return AllowlistMatch{build.name,
                                  allows_sealed(allowlist.measurements) || allows_sealed(build.measurements)};
        }
        if (!closest || one.agreed > closest->agreed) closest = std::move(one);
    }
    return fail(std::move(*closest->difference));
}

}  // namespace

bool Allowlist::allows_sealed() const {
    return attestation::allows_sealed(measurements) ||
           std::any_of(builds.begin(), builds.end(), [](const AllowlistBuild& build) {
               return attestation::allows_sealed(build.measurements);
           });
}

bool Allowlist::names(QuoteRegister which) const {
    if (quote_measurements.contains(which)) return true;
    return !builds.empty() && std::all_of(builds.begin(), builds.end(), [&](const AllowlistBuild& build) {
        return build.quote_measurements.contains(which);
    });
}

bool Allowlist::names(std::string_view claim) const {
    if (measurements.contains(claim)) return true;
    return !builds.empty() && std::all_of(builds.begin(), builds.end(), [&](const AllowlistBuild& build) {
        return build.measurements.contains(claim);
    });
}

Result<void> check_allowlist(const Allowlist& allowlist, std::string_view repo, std::string_view release_tag,
                             WallTime now) {
    if (!allowlist.release_tag.empty() && allowlist.release_tag != release_tag) {
        return fail("allowlist_invalid:/release_tag", fmt::format("it is about release {}, asked for is {}",
                                                                  allowlist.release_tag, release_tag));
    }
    // GitHub tells owners and names apart without regard to case; so does whoever writes them by hand.
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    const bool same_repo = std::equal(allowlist.repo.begin(), allowlist.repo.end(), repo.begin(), repo.end(),
                                      [&](char a, char b) { return lower(a) == lower(b); });
    if (!allowlist.repo.empty() && !same_repo) {
        return fail("allowlist_invalid:/repo",
                    fmt::format("it is about {}, asked for is {}", allowlist.repo, repo));
    }
    if (allowlist.expires_at && now >= *allowlist.expires_at) {
        return fail("allowlist_invalid:/expires_at",
                    fmt::format("it ended at {}, now is {}; publish one that lasts longer",
                                to_rfc3339(*allowlist.expires_at), to_rfc3339(now)));
    }
    return {};
}

Result<void> match_tcb_date(const Allowlist& allowlist, const std::optional<WallTime>& tcb_date) {
    if (!allowlist.tcb_min || (tcb_date && *tcb_date >= *allowlist.tcb_min)) return {};
    return fail(
        mismatch("tcb_min", fmt::format("the platform's TCB is {}, the allowlist asks for {} or later",
                                        tcb_date ? "of " + to_rfc3339(*tcb_date) : "not evaluated",
                                        to_rfc3339(*allowlist.tcb_min))));
}

Result<void> match_quote(const Allowlist& allowlist, const TdReport& report) {
    auto matched = match(allowlist, report, nullptr);
    if (!matched) return fail(std::move(matched.error()));
    return {};
}

Result<AllowlistMatch> match_machine(const Allowlist& allowlist, const TdReport& report,
                                     const Claims& claims) {
    return match(allowlist, report, &claims);
}

}  // namespace ee::attestation
