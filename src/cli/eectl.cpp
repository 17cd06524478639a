#include "cli/eectl.h"

#include <algorithm>
#include <ostream>
#include <vector>

#include <CLI/CLI.hpp>

#include "attestation/simulated_platform_fields.h"
#include "base/printable.h"
#include "cli/apps_changes.h"
#include "cli/apps_commands.h"
#include "cli/connect_command.h"
#include "cli/control_plane_client.h"
#include "cli/events_command.h"
#include "cli/evidence_commands.h"
#include "cli/ledger_api.h"
#include "cli/ledger_commands.h"
#include "cli/ledger_file_commands.h"
#include "cli/quote_commands.h"
#include "cli/request_command.h"
#include "cli/restore_command.h"
#include "cli/route_command.h"
#include "cli/simulate_commands.h"
#include "cli/whole_number.h"
#include "config/describe.h"
#include "net/signals.h"

namespace ee::cli {
namespace {

// What the command line asked for: set by the one subcommand that was named.
using Command = std::function<int(Context&)>;

// What a quote is judged by.
void add_quote_terms(CLI::App& command, QuoteTermsOptions& terms) {
    command.add_option("--collateral", terms.collateral, "A collateral file, or a folder of them");
    command.add_option("--root", terms.root, "A root certificate to accept besides Intel's, DER or PEM");
    command.add_option("--network", terms.network,
                       "Judge by this network's policy: forge-1, sandbox-1, or one of --policy");
    command.add_option("--policy", terms.policy,
                       "Judge by the policy in this file of networks (see EE_NETWORKS_FILE)");
    command.add_option("--allowlist", terms.allowlist, "Compare the measurements with this allowlist");
}

void add_quote_commands(CLI::App& app, QuoteShowOptions& show, QuoteVerifyOptions& verify, Command& command) {
    CLI::App* quote = app.add_subcommand("quote", "Look at TDX quotes")->require_subcommand(1);

    CLI::App* show_command = quote->add_subcommand("show", "Print every field; nothing is verified");
    show_command->add_option("FILE", show.file, "A quote: raw, hex or base64")->required();
    show_command->add_flag("--json", show.json, "As JSON");
    show_command->callback(
        [&] { command = [&](Context& context) { return run_quote_show(show, context); }; });

    CLI::App* verify_command =
        quote->add_subcommand("verify", "Verify; exit 0 when everything asked for holds");
    verify_command->add_option("FILE", verify.file, "A quote: raw, hex or base64")->required();
    verify_command->add_option("--at", verify.at,
                               "Judge at this time: Unix seconds or RFC 3339 (default: now)");
    verify_command->add_option("--report-data", verify.report_data,
                               "The 64 bytes the quote must be over, in hex");
    add_quote_terms(*verify_command, verify.terms);
    verify_command->add_flag("--json", verify.json, "As JSON");
    verify_command->callback(
        [&] { command = [&](Context& context) { return run_quote_verify(verify, context); }; });
}

void add_connect_command(CLI::App& app, ConnectOptions& options, Command& command) {
    CLI::App* connect = app.add_subcommand(
        "connect", "Connect to an app by TLS that ends in its agent, once the agent has proven what it is");
    connect->add_option("APP", options.app, "The app, or <app>.<domain>")->required();
    connect->add_option("--domain", options.domain, "The apps' domain (default: EE_APP_DOMAIN)");
    connect->add_option(
        "--via", options.via,
        "HOST:PORT of the control plane's passthrough listener (default: <app>.<domain>:443)");
    add_quote_terms(*connect, options.terms);
    connect->add_option(
        "--listen", options.listen,
        "ADDRESS:PORT: carry each connection that comes there, instead of standard input and output");
    connect->add_flag("--check", options.check, "Only verify");
    connect->add_flag("--json", options.json, "Say what was verified, as JSON");
    connect->callback([&] { command = [&](Context& context) { return run_connect(options, context); }; });
}

void add_field_options(CLI::App& quote, SimulateOptions& options) {
    for (const attestation::QuoteField& field : attestation::quote_fields()) {
        const std::string name(field.name);
        if (name == "report_data") continue;
        std::string flag = name;
        std::replace(flag.begin(), flag.end(), '_', '-');
        quote
            .add_option_function<std::string>(
                "--" + flag, [&options, name](const std::string& value) { options.fields[name] = value; },
                std::string(field.text))
            ->type_name(field.is_number ? "NUMBER" : "HEX" + std::to_string(field.size))
            ->group("Fields");
    }
}

// What `simulate quote` and `simulate certificate` have in common.
void add_simulated_quote_options(CLI::App& quote, SimulateOptions& options) {
    quote.add_option("--body", options.body, "v4 (default), v5-1.0 or v5-1.5");
    quote.add_option("--tcb", options.tcb, "The TCB status the quote shall have, e.g. OutOfDate");
    quote.add_flag("--debug", options.debug, "A debug TD");
    quote.add_option("--fault", options.faults, "See `eectl simulate faults`; may be repeated")
        ->allow_extra_args(false);
    quote.add_option_function<std::string>(
        "--qe-auth",
        [&options](const std::string& value) {
            options.qe_auth = value;
            options.qe_auth_given = true;
        },
        "QE authentication data, in hex; may be empty");
    quote.add_option("--trailing", options.trailing, "Bytes after the quote, in hex");
    quote.add_option("--padding", options.padding, "Zero bytes after the quote")->check(CLI::Range(0, 65536));
    add_field_options(quote, options);
}

void add_certificate_command(CLI::App& simulate, SimulateOptions& quote, SimulateCertificateOptions& options,
                             Command& command) {
    CLI::App* certificate = simulate.add_subcommand(
        "certificate", "Make a key and an RA-TLS certificate over it; what has no file is printed, in PEM");
    certificate->add_option("DIR", quote.folder, "What `eectl simulate init` made")->required();
    certificate->add_option("--app", options.app, "The app the certificate names");
    certificate->add_option("--repo", options.repo, "Its repository: owner/name");
    certificate->add_option("--release-tag", options.release_tag, "Its release");
    certificate->add_option("--network", options.network, "Its network");
    certificate->add_option("--role", options.role, "agent (default) or control");
    certificate->add_flag("--legacy", options.legacy, "Deployed agents' layout, which names nothing");
    certificate->add_flag("--wrapped", options.wrapped, "With --legacy: an OCTET STRING around the quote");
    certificate->add_option("--at", quote.at, "Valid from this time (default: a minute ago)");
    certificate->add_option("--life", options.life_s, "Valid for so many seconds (default: 86400)");
    certificate->add_option("--key", options.key, "Use this key: P-256 or Ed25519, in PEM");
    certificate->add_flag("--ed25519", options.ed25519, "Make an Ed25519 key instead of a P-256 one");
    certificate->add_option("--key-out", options.key_out, "Write the key to this file");
    certificate->add_option("--cert-out", options.cert_out, "Write the certificate to this file");
    certificate->add_option("--report-data", quote.report_data,
                            "The 64 bytes to quote, in hex, instead of what the certificate asks for");
    certificate->add_flag("--signed-by-stranger", options.signed_by_stranger,
                          "Let another key sign the certificate");
    add_simulated_quote_options(*certificate, quote);
    certificate->callback([&] {
        command = [&](Context& context) { return run_simulate_certificate(quote, options, context); };
    });
}

void add_simulate_commands(CLI::App& app, SimulateOptions& options, SimulateCertificateOptions& certificate,
                           Command& command) {
    CLI::App* simulate =
        app.add_subcommand("simulate", "A simulated TDX platform, for development and tests");
    simulate->require_subcommand(1);

    CLI::App* init = simulate->add_subcommand("init", "Make a platform in DIR");
    init->add_option("DIR", options.folder, "A folder, made when absent")->required();
    init->add_option("--at", options.at, "Issue certificates and collateral at this time (default: now)");
    init->add_flag("--force", options.force, "Replace the platform that is there");
    init->callback([&] { command = [&](Context& context) { return run_simulate_init(options, context); }; });

    CLI::App* quote = simulate->add_subcommand("quote", "Print a quote of the platform in DIR, in base64");
    quote->add_option("DIR", options.folder, "What `eectl simulate init` made")->required();
    quote->add_option("--report-data", options.report_data, "The 64 bytes to quote, in hex")->required();
    quote->add_option("--out", options.out, "Write to this file instead of standard output");
    quote->add_option("--truncate", options.truncate, "Keep only so many bytes")->check(whole_number());
    add_simulated_quote_options(*quote, options);
    quote->callback(
        [&] { command = [&](Context& context) { return run_simulate_quote(options, context); }; });

    add_certificate_command(*simulate, options, certificate, command);

    CLI::App* refresh = simulate->add_subcommand("refresh", "Renew the collateral of the platform in DIR");
    refresh->add_option("DIR", options.folder, "What `eectl simulate init` made")->required();
    refresh->add_option("--at", options.at, "Issue it at this time (default: now)");
    refresh->add_option("--fault", options.faults, "See `eectl simulate faults`; may be repeated")
        ->allow_extra_args(false);
    refresh->callback(
        [&] { command = [&](Context& context) { return run_simulate_refresh(options, context); }; });

    CLI::App* faults = simulate->add_subcommand("faults", "List the faults that --fault can make");
    faults->callback([&] { command = [](Context& context) { return run_simulate_faults(context); }; });
}

void add_apps_commands(CLI::App& app, AppsOptions& options, AppChange& change, Command& command) {
    CLI::App* apps = app.add_subcommand(
        "apps",
        "Apps of a control plane: list, show, change (EE_ADMIN_TOKEN, or the app's token in EECTL_TOKEN)");
    apps->require_subcommand(1);
    const auto add_common = [&options](CLI::App* subcommand) {
        subcommand->add_option("--url", options.url, url_help);
        subcommand->add_flag("--json", options.json, "As JSON");
    };
    CLI::App* list = apps->add_subcommand("list", "One line an app");
    list->add_option("--network", options.network, "Only this network's");
    list->add_option("--status", options.status, "Only those with this status");
    list->add_option("--repo", options.repo, "Only those of this owner/name");
    add_common(list);
    list->callback([&] { command = [&](Context& context) { return run_apps_list(options, context); }; });

    CLI::App* show = apps->add_subcommand("show", "Everything about one app, its agents and last events");
    show->add_option("NAME", options.name, "The app")->required();
    add_common(show);
    show->callback([&] { command = [&](Context& context) { return run_apps_show(options, context); }; });
    add_app_changes(*apps, change, command);
}

void add_route_command(CLI::App& app, RouteExplainOptions& options, Command& command) {
    CLI::App* route = app.add_subcommand("route", "How requests are routed (EE_ADMIN_TOKEN)");
    route->require_subcommand(1);
    CLI::App* explain =
        route->add_subcommand("explain", "Which agent an app's next request would go to, and why");
    explain->add_option("APP", options.app, "The app")->required();
    explain->add_option("--url", options.url, url_help);
    explain->add_flag("--json", options.json, "As JSON");
    explain->callback(
        [&] { command = [&](Context& context) { return run_route_explain(options, context); }; });
}

void add_request_command(CLI::App& app, RequestOptions& options, Command& command) {
    CLI::App* request = app.add_subcommand(
        "request", "Send a request to an app; throw the answer away unless what --require asks is met");
    request->add_option("APP", options.app, "The app")->required();
    request->add_option("PATH", options.path, "Path and query (default: /)");
    request->add_option("--require", options.require,
                        "What to ask of the agent: EE-Require, e.g. 'sealed, tcb=(UpToDate), max-age=300'");
    request->add_option("-X,--method", options.method, "The method (default: GET, or POST with a body)");
    request->add_option("-H,--header", options.headers, "\"Name: value\"; may be repeated")
        ->allow_extra_args(false);
    request->add_option_function<std::string>(
        "--data",
        [&options](const std::string& value) {
            options.data = value;
            options.has_data = true;
        },
        "The body");
    request->add_option("--data-file", options.data_file,
                        "A file with the body, at most 64 MiB; -: standard input");
    request->add_flag("-i,--include", options.show_head, "Print status and fields of the answer, too");
    request->add_option("--app-host", options.app_host,
                        "Ask the proxy listener for this host (APP.<EE_APP_DOMAIN>), not the control plane");
    request->add_option(
        "--url", options.url,
        std::string(url_help) + "; with --app-host: where it is reached (default: https://HOST)");
    request->add_option("--timeout", options.timeout_s, "Wait so many seconds for the next byte")
        ->check(CLI::Range(1, 86400));
    request->callback([&] { command = [&](Context& context) { return run_request(options, context); }; });
}

void add_events_command(CLI::App& app, EventsOptions& options, Command& command) {
    CLI::App* events = app.add_subcommand("events", "Follow what happens, a line an event (EE_ADMIN_TOKEN)");
    events->add_option("--after", options.after,
                       "Begin behind the event of this number; 0: with the oldest that is kept");
    events->add_option("--app", options.app, "Only this app's");
    events->add_option("--kind", options.kind, "Only of this kind");
    events->add_option("--count", options.count, "End after so many; 0: never (default)")
        ->check(whole_number());
    events->add_option("--url", options.url, url_help);
    events->add_flag("--json", options.json, "As JSON, a line each");
    events->callback([&] { command = [&](Context& context) { return run_events(options, context); }; });
}

struct EvidenceOptions {
    EvidenceFetchOptions fetch;
    EvidenceShowOptions show;
    EvidenceVerifyOptions verify;
};

void add_evidence_commands(CLI::App& app, EvidenceOptions& options, Command& command) {
    CLI::App* evidence = app.add_subcommand("evidence", "Check that an app is attested");
    evidence->require_subcommand(1);

    EvidenceFetchOptions& fetch = options.fetch;
    CLI::App* fetch_command =
        evidence->add_subcommand("fetch", "Get an app's evidence, with all that judging it takes");
    fetch_command->add_option("APP", fetch.app, "The app")->required();
    fetch_command->add_option("--url", fetch.url, url_help);
    fetch_command->add_option("--id", fetch.id, "This piece of evidence of the last 24 hours");
    fetch_command->add_option("--cursor", fetch.cursor, "The page behind this one, as its fetch has said");
    fetch_command->add_option("--out", fetch.out, "Write to this file instead of standard output");
    fetch_command->callback(
        [&] { command = [&](Context& context) { return run_evidence_fetch(fetch, context); }; });

    EvidenceShowOptions& show = options.show;
    CLI::App* show_command = evidence->add_subcommand("show", "Print every field; nothing is verified");
    show_command->add_option("FILE", show.file, "What GET /v1/apps/APP/evidence answered")->required();
    show_command->callback(
        [&] { command = [&](Context& context) { return run_evidence_show(show, context); }; });

    EvidenceVerifyOptions& verify = options.verify;
    CLI::App* verify_command = evidence->add_subcommand(
        "verify", "Judge again, offline; exit 0 when every verdict is ok and the recorded one");
    verify_command->add_option("FILE", verify.file, "What GET /v1/apps/APP/evidence answered")->required();
    verify_command->add_option("--collateral", verify.collateral,
                               "A collateral file, or a folder of them, in place of the file's own");
    verify_command->add_option("--allowlist", verify.allowlist, "An allowlist in place of the file's own");
    verify_command->add_option("--root", verify.root,
                               "A root certificate to accept besides Intel's, DER or PEM");
    verify_command->add_option("--network", verify.network,
                               "It must be of this network, and is judged by its built-in rules");
    verify_command->add_option("--policy", verify.policy,
                               "A file of networks to judge by in place of the built-in ones");
    verify_command->add_option("--at", verify.at,
                               "Judge at this time: Unix seconds or RFC 3339 (default: the recorded one)");
    verify_command->add_flag("--accept-policy", verify.accept_policy,
                             "Also when forge-1 or sandbox-1 was judged by other than its built-in rules");
    verify_command->add_flag("--json", verify.json, "As JSON");
    verify_command->callback(
        [&] { command = [&](Context& context) { return run_evidence_verify(verify, context); }; });
}

void add_ledger_commands(CLI::App& app, LedgerVerifyOptions& verify, Command& command) {
    CLI::App* ledger =
        app.add_subcommand("ledger", "The ledger's log, receipts and file")->require_subcommand(1);

    CLI::App* verify_command = ledger->add_subcommand(
        "verify", "Verify a receipt, offline; exit 0 when it holds down to the control plane's machine");
    verify_command->add_option("FILE", verify.file, "A receipt, as JSON")->required();
    ReceiptTermsOptions& terms = verify.terms;
    verify_command->add_option("--control-allowlist", terms.control_allowlist,
                               "The allowlist of the control plane's release");
    verify_command->add_option("--key", terms.key,
                               "Instead: a file with the log's public key, PEM or base64, as `eectl ledger "
                               "head` shows it: unattested");
    verify_command->add_option("--root", terms.root,
                               "A root certificate to accept besides Intel's, DER or PEM");
    verify_command->add_option("--network", terms.network,
                               "Judge the machine by this network's policy (default: forge-1's rules)");
    verify_command->add_option("--policy", terms.policy,
                               "Judge it by the policy in this file of networks (see EE_NETWORKS_FILE)");
    verify_command->add_option("--log-id", terms.log_id, "It must be of this log");
    verify_command->add_option(
        "--at", terms.at, "Judge the quote at this time: Unix seconds or RFC 3339 (default: its leaf's)");
    verify_command->add_flag("--json", verify.json, "As JSON");
    verify_command->callback(
        [&] { command = [&](Context& context) { return run_ledger_verify(verify, context); }; });
}

struct LedgerFileCommands {
    LedgerFileOptions file;
    RecomputeOptions recompute;
};

// Of the groups that the ledger's endpoints and receipts have made. They need no token.
void add_ledger_file_commands(CLI::App& app, LedgerFileCommands& options, Command& command) {
    using Run = int (*)(const LedgerFileOptions&, Context&);
    CLI::App* ledger = app.get_subcommand("ledger");
    const auto add = [&](const char* name, const char* about, Run run) {
        CLI::App* sub = ledger->add_subcommand(name, about)->footer("");
        sub->add_option("DB", options.file.database, "The control plane's database (EE_DB_PATH)")->required();
        sub->callback(
            [&, run] { command = [&, run](Context& context) { return run(options.file, context); }; });
        return sub;
    };
    add("check",
        "Check all of a ledger, beside its server; exit 1 where it is not what its log says, 2 where there "
        "is none",
        run_ledger_check)
        ->add_flag("--json", options.file.json, "As JSON");
    add("export", "Print every leaf, a line of JSON each", run_ledger_export);
    CLI::App* backup = add("backup", "Copy the whole database, beside its server", run_ledger_backup);
    backup->add_option("FILE", options.file.to, "Where to; what is there is replaced")->required();
    backup->add_flag("--json", options.file.json, "As JSON");

    CLI::App* recompute =
        app.get_subcommand("settlement")
            ->add_subcommand("recompute",
                             "Judge evidence bundles again; exit 1 where another outcome is recorded")
            ->footer("");
    recompute->add_option("FILE", options.recompute.file, "What `eectl settlement list --json` printed")
        ->required();
    recompute->add_flag("--json", options.recompute.json, "As JSON");
    recompute->callback([&] {
        command = [&](Context& context) { return run_settlement_recompute(options.recompute, context); };
    });
}

void add_restore_command(CLI::App& app, RestoreOptions& options, Command& command) {
    CLI::App* restore = app.add_subcommand(
        "restore", "After a database was restored from an older copy: say that what came later is lost");
    restore->add_option("DB", options.database, "The control plane's database; it must not be running")
        ->required();
    restore
        ->add_flag("--accept-loss", options.accept_loss,
                   "The entries after the copy are gone, and the log will say so")
        ->required();
    restore
        ->add_option("--size", options.size,
                     "How many entries the log had in all (default: what witnesses have shown)")
        ->check(whole_number());
    restore->callback([&] { command = [&](Context& context) { return run_restore(options, context); }; });
}

// Of a word where the name of a subcommand should be CLI11 says no more than that something is missing.
std::optional<std::string> unknown_subcommand(const CLI::App& app) {
    const auto known = app.get_subcommands([](const CLI::App*) { return true; });
    const std::vector<std::string> words = app.remaining();
    if (!known.empty() && !words.empty()) {
        std::string text = "eectl: \"" + printable(words.front()) + "\" is none of";
        for (const CLI::App* one : known) text += (one == known.front() ? " " : ", ") + one->get_name();
        return text;
    }
    const auto named = app.get_subcommands();
    return named.empty() ? std::nullopt : unknown_subcommand(*named.front());
}

}  // namespace

int run_eectl(std::span<const std::string> arguments, Context& context) {
    net::let_writes_fail();
    QuoteShowOptions show;
    QuoteVerifyOptions verify;
    SimulateOptions simulate;
    SimulateCertificateOptions certificate;
    AppsOptions apps;
    RouteExplainOptions route;
    AppChange app_change;
    RequestOptions request;
    EventsOptions events;
    EvidenceOptions evidence;
    ConnectOptions connect;
    LedgerVerifyOptions ledger_verify;
    std::deque<ApiCall> api_calls;
    LedgerFileCommands ledger_files;
    RestoreOptions restore;
    Command command;

    CLI::App app{
        "EasyEnclave's command line: quotes, the simulated platform, apps, requests, evidence, connections, "
        "the ledger",
        "eectl"};
    app.set_version_flag("--version", "eectl " + std::string(config::version()));
    app.require_subcommand(1);
    add_quote_commands(app, show, verify, command);
    add_simulate_commands(app, simulate, certificate, command);
    add_apps_commands(app, apps, app_change, command);
    add_route_command(app, route, command);
    add_request_command(app, request, command);
    add_events_command(app, events, command);
    add_evidence_commands(app, evidence, command);
    add_connect_command(app, connect, command);
    add_ledger_commands(app, ledger_verify, command);
    add_api_commands(app, api_calls, command);
    add_ledger_file_commands(app, ledger_files, command);
    add_restore_command(app, restore, command);

    std::vector<std::string> words(arguments.begin(), arguments.end());
    if (!words.empty() && words.front() == "help") {
        words.erase(words.begin());
        words.emplace_back("--help");
    }
    std::ranges::reverse(words);  // CLI11 takes the arguments as a stack, the last one first.
    try {
        app.parse(std::move(words));
    } catch (const CLI::RequiredError& error) {
        if (const auto why = unknown_subcommand(app)) {
            context.err << *why << '\n';
            return exit_usage;
        }
        return app.exit(error, context.out, context.err) == 0 ? exit_good : exit_usage;
    } catch (const CLI::ParseError& error) {
        // Also how CLI11 says that --help or --version was asked for.
        return app.exit(error, context.out, context.err) == 0 ? exit_good : exit_usage;
    }
    const int code = command(context);
    if (context.out.flush() || code != exit_good) return code;
    context.err << "eectl: local_failed: the output cannot be written\n";
    return exit_refused;
}

}  // namespace ee::cli
