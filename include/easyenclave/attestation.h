#pragma once
// EasyEnclave's verifier of Intel TDX quotes, for other programs: the one header of the library.
//
//   find_package(easyenclave REQUIRED)
//   target_link_libraries(app PRIVATE easyenclave::attestation)
//
// It needs C++20's standard library only. Nothing here touches the network, the disk, a clock or a thread:
// quote, collateral and time are arguments. examples/verify_quote is a complete program.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace easyenclave::attestation {

using Bytes = std::span<const std::uint8_t>;
using Time = std::chrono::sys_time<std::chrono::milliseconds>;

// Why not: a stable code, e.g. "quote_signature_invalid" or "tcb_unacceptable:OutOfDate", a sentence that
// names both values compared, and one that says what to do about it.
struct Refusal {
    std::string code;
    std::string detail;
    std::string remedy;
};

// A value, or the refusal in its place.
template <class T>
class Outcome {
public:
    Outcome(T value) : value_(std::move(value)) {}
    Outcome(Refusal refusal) : refusal_(std::move(refusal)) {}

    explicit operator bool() const { return value_.has_value(); }
    const T& operator*() const { return value_.value(); }
    const T* operator->() const { return &value_.value(); }
    const Refusal& refusal() const { return refusal_; }

private:
    std::optional<T> value_;
    Refusal refusal_;
};

// What Intel publishes about a platform, as the JSON file that verifiers share: strings
// `pck_crl_issuer_chain`, `root_ca_crl` and `pck_crl` (hex DER), `tcb_info_issuer_chain`, `tcb_info`,
// `tcb_info_signature` (hex), `qe_identity_issuer_chain`, `qe_identity`, `qe_identity_signature`. Immutable;
// copies share. Its signatures are judged with each quote, and remembered by the verifier.
class Collateral {
public:
    // Refuses with `collateral_malformed` or `collateral_malformed:<key>`.
    static Outcome<Collateral> parse(std::string_view json);

private:
    friend class Verifier;
    struct State;
    explicit Collateral(std::shared_ptr<const State> state) : state_(std::move(state)) {}
    std::shared_ptr<const State> state_;
};

// Which platforms are good enough. Immutable; copies share.
class Policy {
public:
    // The built-in ones. `forge_1`: UpToDate or SWHardeningNeeded, no debug TD, SEPT_VE_DISABLE, no service
    // TD. `sandbox_1`: every status but Revoked, debug TDs too, and a simulated root where the verifier has
    // one.
    static Policy forge_1();
    static Policy sandbox_1();
    // A network of a policy file (docs/networks.md); the detail lists everything that is wrong with the file.
    // Refuses with `policy_invalid`.
    static Outcome<Policy> parse(std::string_view toml, std::string_view network);

    const std::string& name() const;

private:
    friend class Verifier;
    struct State;
    explicit Policy(std::shared_ptr<const State> state) : state_(std::move(state)) {}
    std::shared_ptr<const State> state_;
};

struct Request {
    // Raw, as configfs-tsm gives it; zero bytes may follow the quote.
    Bytes quote;
    // Without it only the signature chain is judged: Result::crypto_ok at best.
    std::optional<Collateral> collateral;
    // Judged only when given. A verdict without a policy says what the status is, not that it is good enough.
    std::optional<Policy> policy;
    // What the quote's report data must be, 64 bytes; compared in constant time. Not judged when empty: then
    // nothing says that the quote is fresh, or whose it is.
    Bytes report_data;
    // When it is judged: the caller's clock.
    Time now{};
};

enum class Result {
    ok,         // everything asked for holds
    crypto_ok,  // what can be judged without collateral holds
    refused,
};

struct Verdict {
    Result result = Result::refused;
    Refusal refusal;  // empty unless refused

    // Below: empty until the quote's signature chain has held. Hex is lower case.
    std::string tcb_status;  // "UpToDate", ..., as Intel names them; empty without collateral
    std::optional<Time> tcb_date;
    std::vector<std::string> advisory_ids;
    std::string fmspc;
    std::string mrtd;
    std::vector<std::string> rtmrs;
    std::string report_data;
    bool debug = false;
    bool simulated = false;  // the chain ends in the simulated root

    // Letters of the checks, in the order they were made; docs/verifying-a-quote.md says what each is.
    std::vector<std::string> checks;
    std::vector<std::string> not_checked;
    std::map<std::string, std::string> collateral_sha256;
};

// Verifies quotes down to Intel's SGX Root CA, which is pinned by key. Keeps what it has verified of
// certificate chains and collateral in bounded caches: keep one and use it from any thread.
class Verifier {
public:
    Verifier();
    // And a simulated platform's root, as DER or PEM: for tests. Refuses with `certificate_malformed` or
    // `key_invalid`.
    static Outcome<Verifier> with_simulated_root(Bytes certificate);

    // Any input gives an answer.
    Verdict verify(const Request& request) const;

private:
    struct State;
    explicit Verifier(std::shared_ptr<const State> state) : state_(std::move(state)) {}
    std::shared_ptr<const State> state_;
};

}  // namespace easyenclave::attestation
