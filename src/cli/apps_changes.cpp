#include "cli/apps_changes.h"

#include <algorithm>
#include <ostream>

#include <CLI/CLI.hpp>
#include <simdjson.h>

#include "base/json_writer.h"
#include "cli/control_plane_client.h"
#include "cli/json_in_words.h"

namespace ee::cli {
namespace {

using Command = std::function<int(Context&)>;

constexpr const char* default_network = "forge-1";

struct Call {
    std::string method;
    std::string target;
    std::string body = "{}";
};

const Error not_an_app{"bad_answer", "the answer is no app: is this a control plane?"};

// nullopt: it cannot be, which is said.
std::optional<ControlPlaneClient> client_for(const AppChange& change, Context& context) {
    auto client = ControlPlaneClient::from_environment(change.url, context);
    if (client) return std::move(*client);
    context.err << "eectl: " << client.error().detail << '\n';
    return std::nullopt;
}

int run(const ControlPlaneClient& client, const AppChange& change, const Call& call, Context& context) {
    const auto body = client.send(call.method, call.target, call.body);
    if (!body) return report_refusal(client, body.error(), context);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(*body).get(root) != simdjson::SUCCESS || !root.is_object())
        return report_refusal(client, not_an_app, context);
    if (change.json)
        context.out << simdjson::minify(root) << '\n';
    else
        print_tree(context.out, root, 0);
    return exit_good;
}

int run(const AppChange& change, const Call& call, Context& context) {
    const auto client = client_for(change, context);
    return client ? run(*client, change, call, context) : exit_usage;
}

std::string path_of(const AppChange& change, const std::string& rest = "") {
    return "/v1/apps/" + percent_encoded(change.name) + rest;
}

// An app stays where it is: to be moved is to lose its tunnels, which nobody means who does not say so.
Result<std::string> network_of(const ControlPlaneClient& client, const AppChange& change) {
    if (!change.network.empty()) return change.network;
    const auto app = client.get(path_of(change));
    if (!app && app.error().code == "unknown_app") return default_network;
    if (!app) return fail(app.error());
    simdjson::dom::parser parser;
    std::string_view network;
    if (parser.parse(*app)["network"].get(network) != simdjson::SUCCESS) return fail(not_an_app);
    return std::string(network);
}

int create(const AppChange& change, Context& context) {
    const auto client = client_for(change, context);
    if (!client) return exit_usage;
    const auto network = network_of(*client, change);
    if (!network) return report_refusal(*client, network.error(), context);
    std::string body;
    JsonWriter json(body);
    json.begin_object().field("app_name", change.name).field("repo", change.repo).field("network", *network);
    if (!change.billing_account.empty()) json.field("billing_account", change.billing_account);
    if (change.rotate_token) json.field("rotate_token", true);
    json.end_object();
    return run(*client, change, {"POST", "/v1/apps", body}, context);
}

int list_nodes(const AppChange& change, Context& context) {
    if (int{change.any} + int{change.none} + int{!change.items.empty()} != 1) {
        context.err << "eectl: name the nodes, or say --any or --none\n";
        return exit_usage;
    }
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("nodes");
    if (change.any) {
        json.null();
    } else {
        json.begin_array();
        for (const std::string& node : change.items) json.value(node);
        json.end_array();
    }
    json.end_object();
    return run(change, {"PUT", path_of(change, "/nodes"), body}, context);
}

int roll_out(const AppChange& change, Context& context) {
    if (change.none == !change.items.empty()) {
        context.err << "eectl: give each release its weight, TAG=WEIGHT, or say --none\n";
        return exit_usage;
    }
    std::string body;
    JsonWriter json(body);
    json.begin_object().key("weights").begin_object();
    for (const std::string& item : change.items) {
        const std::size_t equals = item.rfind('=');
        const std::string weight = equals == std::string::npos ? "" : item.substr(equals + 1);
        const bool is_number = !weight.empty() && weight.size() <= 7 && (weight == "0" || weight[0] != '0') &&
                               std::ranges::all_of(weight, [](char c) { return c >= '0' && c <= '9'; });
        if (!is_number || equals == 0) {
            context.err << "eectl: \"" << item << "\" is no release and weight such as v0.1.3=90\n";
            return exit_usage;
        }
        json.key(item.substr(0, equals)).raw(weight);
    }
    json.end_object().end_object();
    return run(change, {"PUT", path_of(change, "/rollout"), body}, context);
}

}  // namespace

void add_app_changes(CLI::App& apps, AppChange& change, Command& command) {
    const auto add = [&](const char* name, const char* about, auto act) {
        CLI::App* sub = apps.add_subcommand(name, about);
        sub->add_option("NAME", change.name, "The app")->required();
        sub->add_option("--url", change.url, url_help);
        sub->add_flag("--json", change.json, "As JSON");
        sub->callback([&change, &command, act] {
            command = [&change, act](Context& context) { return act(change, context); };
        });
        return sub;
    };
    CLI::App* made = add("create", "Reserve a name, or move it; prints its token, once", create);
    made->add_option("--repo", change.repo, "The repository, as owner/name")->required();
    made->add_option("--network", change.network,
                     "The network (default: the one it is on; of a new name forge-1)");
    made->add_option("--billing-account", change.billing_account, "Who pays for it");
    made->add_flag("--rotate-token", change.rotate_token, "A new token in place of the one it has");

    add("delete", "Forget an app and close its tunnels",
        [](const AppChange& of, Context& context) { return run(of, {"DELETE", path_of(of)}, context); });
    add("attest", "Challenge its agents now", [](const AppChange& of, Context& context) {
        return run(of, {"POST", path_of(of, "/attest")}, context);
    });
    CLI::App* drained =
        add("drain", "Let one of its agents finish and leave", [](const AppChange& of, Context& context) {
            const std::string agent = "/agents/" + percent_encoded(of.agent) + "/drain";
            return run(of, {"POST", path_of(of, agent)}, context);
        });
    drained->add_option("AGENT_ID", change.agent, "The agent")->required();

    CLI::App* nodes = add("nodes", "Say which nodes alone may serve it", list_nodes);
    nodes->add_option("NODES", change.items, "Their ids");
    nodes->add_flag("--any", change.any, "No list: whomever the network admits");
    nodes->add_flag("--none", change.none, "Nobody");

    CLI::App* rollout = add("rollout", "Say which release gets how much of the requests", roll_out);
    rollout->add_option("WEIGHTS", change.items, "Such as v0.1.3=90 v0.1.4=10");
    rollout->add_flag("--none", change.none, "No rollout: all releases are equal");
}

}  // namespace ee::cli
