// The command line of the ledger's endpoints.

#include <algorithm>

#include <CLI/CLI.hpp>

#include "base/json_writer.h"
#include "cli/control_plane_client.h"
#include "cli/ledger_api.h"
#include "cli/whole_number.h"

namespace ee::cli {
namespace {

struct Group {
    std::string_view name;
    const char* about;
};
constexpr Group groups[] = {{"account", "Accounts of the ledger"},
                            {"credits", "Credits bought, burnt and passed on"},
                            {"lock", "Credits held for compute"},
                            {"usage", "Compute that ran"},
                            {"node", "Nodes of providers, their stake and what they lose of it"},
                            {"settlement", "What nodes earned, cell by cell"},
                            {"abuse", "Abuse reports"}};

// Fields that mean the same everywhere.
struct CommonField {
    std::string_view name;
    const char* about;
};
constexpr CommonField common_fields[] = {
    {"account_id", "Whose credits"},
    {"amount_usd", "USD, a decimal such as 12.5"},
    {"app_name", "For this app"},
    {"evidence_url", "Where more about it is"},
    {"node_id", "The node"},
    {"period", "Such as 2026-01-09T13, 2026-01-09, or START--END"},
    {"price_usd_per_vcpu_hour", "USD, a decimal such as 0.05"},
    {"reason", "Why"},
    {"vcpu_hours", "A decimal such as 0.25"},
};

constexpr CommonField arguments[] = {
    {"ACCOUNT", "The account, such as alice or node:n1"},
    {"ACCOUNT_ID", "The account, such as alice"},
    {"LOCK_ID", "The lock, as `eectl lock take` has named it"},
    {"NODE", "The node"},
    {"NODE_ID", "The node"},
    {"PERIOD", "Such as 2026-01-09T13, 2026-01-09, or START--END"},
    {"REPORT_ID", "The report, as `eectl abuse list` names it"},
    {"SLASHING_ID", "The slashing, as `eectl node slashings` names it"},
};

constexpr const char* whose_token =
    "The token is that of EECTL_TOKEN or EECTL_TOKEN_FILE, else of EE_ADMIN_TOKEN or EE_ADMIN_TOKEN_FILE.";
constexpr const char* owner_token =
    "A node that changes its stake or owner: EECTL_OWNER_TOKEN is the token of the account that pays.";

std::string about(std::span<const CommonField> table, std::string_view name) {
    const auto common = std::ranges::find(table, name, &CommonField::name);
    return common == table.end() ? "" : common->about;
}

std::string about(const ApiField& field) {
    return field.about.empty() ? about(common_fields, field.name) : std::string(field.about);
}

std::string json_list(const std::vector<std::string>& items) {
    std::string out;
    JsonWriter json(out);
    json.begin_array();
    for (const std::string& item : items) json.value(item);
    json.end_array();
    return out;
}

void add_field(CLI::App& command, const ApiField& field, ApiCall& call) {
    const std::string option = option_of(field);
    const std::string_view name = field.name;
    switch (field.kind) {
        case ApiField::Kind::flag:
            command.add_flag_callback(option, [&call, name] { call.values[name] = "true"; }, about(field));
            break;
        case ApiField::Kind::list:
            command
                .add_option_function<std::vector<std::string>>(
                    option,
                    [&call, name](const std::vector<std::string>& items) {
                        call.values[name] = json_list(items);
                    },
                    about(field))
                ->allow_extra_args(false)
                ->required(field.required);
            break;
        case ApiField::Kind::text:
        case ApiField::Kind::number: {
            CLI::Option* one = command.add_option_function<std::string>(
                option, [&call, name](const std::string& value) { call.values[name] = value; }, about(field));
            one->required(field.required);
            if (field.kind == ApiField::Kind::number) one->check(whole_number());
            break;
        }
    }
}

CLI::App* group_of(CLI::App& app, std::string_view name) {
    for (CLI::App* known : app.get_subcommands([](const CLI::App*) { return true; }))
        if (known->get_name() == name) return known->footer(whose_token);
    const auto group = std::ranges::find(groups, name, &Group::name);
    return app.add_subcommand(std::string(name), group->about)->require_subcommand(1)->footer(whose_token);
}

}  // namespace

std::string option_of(const ApiField& field) {
    std::string option = "--" + std::string(field.name);
    std::ranges::replace(option, '_', '-');
    return option;
}

void add_api_commands(CLI::App& app, std::deque<ApiCall>& calls, std::function<int(Context&)>& command) {
    for (const ApiCommand& row : api_commands()) {
        ApiCall& call = calls.emplace_back();
        call.command = &row;
        CLI::App* sub =
            group_of(app, row.group)->add_subcommand(std::string(row.name), std::string(row.about));
        if (!row.argument.empty())
            sub->add_option(std::string(row.argument), call.argument, about(arguments, row.argument))
                ->required();
        for (const ApiField& field : row.fields) add_field(*sub, field, call);
        sub->add_option("--url", call.url, url_help);
        if (row.method == "POST")
            sub->add_option("--idempotency-key", call.idempotency_key,
                            "That of an earlier try, so that it is done once (default: a random one)");
        if (!row.columns.empty())
            sub->add_option("--limit", call.limit, "At most so many; 0: all (default)")
                ->check(whole_number());
        sub->add_flag("--json", call.json, "As JSON");
        if (row.path == "/v1/nodes/register") sub->footer(std::string(whose_token) + '\n' + owner_token);
        sub->callback([&call, &command] {
            command = [&call](Context& context) { return run_api_call(call, context); };
        });
    }
}

}  // namespace ee::cli
