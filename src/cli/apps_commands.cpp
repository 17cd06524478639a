#include "cli/apps_commands.h"

#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

#include "cli/control_plane_client.h"
#include "cli/json_in_words.h"

namespace ee::cli {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;

// 200 pages of 500: more apps than one name space holds in practice, and an end for a server that loops.
constexpr int pages_max = 200;

struct Column {
    const char* title;
    const char* field;
};
constexpr Column columns[] = {{"APP", "app_name"},    {"STATUS", "status"}, {"REASON", "reason"},
                              {"NETWORK", "network"}, {"REPO", "repo"},     {"RELEASE", "release_tag"},
                              {"AGENTS", "agents"},   {"SEALED", "sealed"}, {"LAST ATTESTED", "last_attest"}};

std::string list_target(const AppsOptions& options, const std::string& cursor) {
    std::string target = "/v1/apps?limit=500";
    const std::pair<const char*, const std::string*> filters[] = {{"network", &options.network},
                                                                  {"status", &options.status},
                                                                  {"repo", &options.repo},
                                                                  {"cursor", &cursor}};
    for (const auto& [name, value] : filters) {
        if (!value->empty()) target += fmt::format("&{}={}", name, percent_encoded(*value));
    }
    return target;
}

const Error not_a_list{.code = "bad_answer",
                       .detail = "the answer is not a list of apps: is this a control plane?"};

// All pages: a row and the JSON of each app.
struct Listing {
    TextTable rows;
    std::string json_items;
};

Result<Listing> fetch_list(const ControlPlaneClient& client, const AppsOptions& options) {
    Listing listing;
    std::string cursor;
    simdjson::dom::parser parser;
    for (int page = 0; page < pages_max; ++page) {
        const auto body = client.get(list_target(options, cursor));
        if (!body) return fail(body.error());
        element root;
        array items;
        if (parser.parse(*body).get(root) != simdjson::SUCCESS ||
            root["items"].get(items) != simdjson::SUCCESS) {
            return fail(not_a_list);
        }
        for (const element item : items) {
            std::vector<std::string> row;
            for (const Column& column : columns) row.push_back(cell_of(item, column.field));
            listing.rows.push_back(std::move(row));
            if (!listing.json_items.empty()) listing.json_items += ',';
            listing.json_items += simdjson::minify(item);
        }
        std::string_view next;
        if (root["next_cursor"].get(next) != simdjson::SUCCESS || next.empty()) break;
        cursor = next;
    }
    return listing;
}

}  // namespace

int run_apps_list(const AppsOptions& options, Context& context) {
    const auto client = ControlPlaneClient::from_environment(options.url, context);
    if (!client) {
        context.err << "eectl: " << client.error().detail << '\n';
        return exit_usage;
    }
    auto listing = fetch_list(*client, options);
    if (!listing) return report_refusal(*client, listing.error(), context);
    if (options.json) {
        context.out << "{\"items\":[" << listing->json_items << "],\"next_cursor\":null}\n";
        return exit_good;
    }
    if (listing->rows.empty()) {
        const bool asked_for_some =
            !options.network.empty() || !options.status.empty() || !options.repo.empty();
        context.out << (asked_for_some
                            ? "No apps of that network, status or repository.\n"
                            : "No apps. The first agent that attests under a name registers it.\n");
        return exit_good;
    }
    std::vector<std::string> titles;
    for (const Column& column : columns) titles.emplace_back(column.title);
    listing->rows.insert(listing->rows.begin(), std::move(titles));
    print_table(context.out, listing->rows);
    return exit_good;
}

int run_apps_show(const AppsOptions& options, Context& context) {
    const auto client = ControlPlaneClient::from_environment(options.url, context);
    if (!client) {
        context.err << "eectl: " << client.error().detail << '\n';
        return exit_usage;
    }
    const auto body = client->get("/v1/apps/" + percent_encoded(options.name));
    if (!body) return report_refusal(*client, body.error(), context);
    simdjson::dom::parser parser;
    element root;
    if (parser.parse(*body).get(root) != simdjson::SUCCESS || !root.is_object()) {
        return report_refusal(*client, not_a_list, context);
    }
    if (options.json) {
        context.out << simdjson::minify(root) << '\n';
    } else {
        print_tree(context.out, root, 0);
    }
    return exit_good;
}

}  // namespace ee::cli
