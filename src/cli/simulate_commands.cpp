#include "cli/simulate_commands.h"

#include <fstream>
#include <ostream>

#include <fmt/format.h>

#include "attestation/quote.h"
#include "attestation/simulated_platform.h"
#include "base/base64.h"
#include "base/hex.h"
#include "cli/quote_commands.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

int usage(Context& context, const std::string& what) {
    context.err << "eectl: " << what << '\n';
    return exit_usage;
}

int refused(Context& context, const Error& error) {
    context.err << "eectl: " << error.detail << '\n';
    return exit_refused;
}

Result<WallTime> time_of(const SimulateOptions& options, const Context& context) {
    if (options.at.empty()) return context.now;
    const auto at = parse_time(options.at);
    if (!at) return fail("usage", "--at: \"" + options.at + "\" is neither Unix seconds nor RFC 3339 in UTC");
    return *at;
}

Result<att::SimulatedFaults> faults_of(const SimulateOptions& options, bool in_collateral) {
    att::SimulatedFaults faults;
    for (const std::string& name : options.faults) {
        const att::SimulatedFaultRow* row = att::find_simulated_fault(name);
        if (row == nullptr || row->in_collateral != in_collateral) {
            return fail("usage",
                        fmt::format("--fault: \"{}\" is no fault of a {}; `eectl simulate faults` lists them",
                                    name, in_collateral ? "platform's collateral" : "quote"));
        }
        faults.insert(row->fault);
    }
    return faults;
}

Result<Bytes> hex_option(const char* name, const std::string& text) {
    auto bytes = from_hex(text);
    if (!bytes) return fail("usage", fmt::format("{} takes hex, not \"{}\"", name, text));
    return std::move(*bytes);
}

Result<void> read_status_and_body(const SimulateOptions& options, att::SimulatedQuoteRequest& request) {
    if (!options.tcb.empty()) {
        const auto status = att::parse_tcb_status(options.tcb);
        if (!status || *status == att::TcbStatus::not_evaluated) {
            return fail("usage",
                        "--tcb: \"" + options.tcb + "\" is not one of Intel's TCB statuses, e.g. OutOfDate");
        }
        request.tcb_status = *status;
    }
    const bool needs_td_1_5 = request.tcb_status == att::TcbStatus::td_relaunch_advised ||
                              request.tcb_status == att::TcbStatus::td_relaunch_advised_configuration_needed;
    if (options.body.empty()) {
        if (needs_td_1_5) request.format = att::QuoteFormat::v5_td_1_5;
        return {};
    }
    const auto format = att::parse_quote_format(options.body);
    if (!format) return fail("usage", "--body takes v4, v5-1.0 or v5-1.5, not \"" + options.body + "\"");
    if (needs_td_1_5 && *format != att::QuoteFormat::v5_td_1_5) {
        return fail("usage", "--tcb " + options.tcb + " needs --body v5-1.5: only TD 1.5 says what runs now");
    }
    request.format = *format;
    return {};
}

Result<att::SimulatedQuoteRequest> read_request(const SimulateOptions& options) {
    const auto report_data = from_hex_exact<64>(options.report_data);
    if (!report_data) return fail("usage", "--report-data takes 128 hex characters (64 bytes)");
    auto request = read_quote_options(options);
    if (request) request->report_data = *report_data;
    return request;
}

}  // namespace

Result<att::SimulatedQuoteRequest> read_quote_options(const SimulateOptions& options) {
    att::SimulatedQuoteRequest request;
    request.debug = options.debug;
    if (const auto read = read_status_and_body(options, request); !read) return fail(read.error());
    auto faults = faults_of(options, false);
    if (!faults) return fail(faults.error());
    request.faults = std::move(*faults);
    if (options.qe_auth_given) {
        auto auth = hex_option("--qe-auth", options.qe_auth);
        if (!auth) return fail(auth.error());
        request.qe_auth_data = std::move(*auth);
    }
    auto trailing = hex_option("--trailing", options.trailing);
    if (!trailing) return fail(trailing.error());
    request.trailing = std::move(*trailing);
    request.trailing.resize(request.trailing.size() + options.padding);
    for (const auto& [name, value] : options.fields) {
        auto field = att::parse_field_override(*att::find_quote_field(name), value);
        if (!field) return fail("usage", field.error().detail);
        request.fields.push_back(std::move(*field));
    }
    return request;
}

int run_simulate_init(const SimulateOptions& options, Context& context) {
    const auto at = time_of(options, context);
    if (!at) return usage(context, at.error().detail);
    if (att::simulated_platform_exists(options.folder) && !options.force) {
        context.err
            << "eectl: " << options.folder
            << " already holds a simulated platform; renew its collateral with `eectl simulate refresh "
            << options.folder << "`, or replace it, keys and all, with --force\n";
        return exit_refused;
    }
    const auto saved = att::save_simulated_platform(options.folder, att::make_simulated_platform(*at), *at);
    if (!saved) return refused(context, saved.error());
    context.out << fmt::format(
        "Simulated TDX platform in {0}\n"
        "  control plane  EE_TDX_ROOT_CA={0}/root.pem EE_COLLATERAL_DIR={0}\n"
        "  agent          EE_QUOTE_PROVIDER=simulated EE_SIMULATED_TDX_DIR={0}\n"
        "  allowlist      {0}/allowlist.json, to be copied to <EE_ALLOWLIST_DIR>/<owner>/<repo>/<tag>.json\n"
        "  collateral     valid until {1}; renew it with `eectl simulate refresh {0}`\n",
        options.folder, to_rfc3339(*at + att::simulated_collateral_life));
    return exit_good;
}

int run_simulate_quote(const SimulateOptions& options, Context& context) {
    const auto request = read_request(options);
    if (!request) return usage(context, request.error().detail);
    const auto platform = att::load_simulated_platform(options.folder);
    if (!platform) return refused(context, platform.error());
    Bytes quote = att::make_simulated_quote(*platform, *request);
    if (options.truncate != 0 && options.truncate < quote.size()) quote.resize(options.truncate);
    const std::string text = to_base64(quote) + "\n";
    if (options.out.empty()) {
        context.out << text;
        return exit_good;
    }
    std::ofstream file(options.out, std::ios::binary | std::ios::trunc);
    file << text << std::flush;
    if (!file) return refused(context, {"file_unwritable", "cannot write " + options.out});
    return exit_good;
}

int run_simulate_refresh(const SimulateOptions& options, Context& context) {
    const auto at = time_of(options, context);
    if (!at) return usage(context, at.error().detail);
    const auto faults = faults_of(options, true);
    if (!faults) return usage(context, faults.error().detail);
    const auto refreshed = att::refresh_simulated_platform(options.folder, *at, *faults);
    if (!refreshed) return refused(context, refreshed.error());
    context.out << fmt::format("Collateral of {} renewed, valid until {}\n", options.folder,
                               to_rfc3339(*at + att::simulated_collateral_life));
    return exit_good;
}

int run_simulate_faults(Context& context) {
    context.out << fmt::format("{:<30}{:<12}{:<7}{}\n", "fault", "of", "check", "refusal");
    for (const att::SimulatedFaultRow& row : att::simulated_faults()) {
        context.out << fmt::format("{:<30}{:<12}{:<7}{}\n", row.name,
                                   row.in_collateral ? "collateral" : "quote", row.check, row.refusal);
    }
    return exit_good;
}

}  // namespace ee::cli
