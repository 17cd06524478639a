#include "cli/route_command.h"

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

bool is_true(element object, const char* field) {
    bool value = false;
    return object[field].get(value) == simdjson::SUCCESS && value;
}

// Millionths as a fraction of one.
std::string fraction_of(element object, const char* field) {
    std::uint64_t millionths = 0;
    if (object[field].get(millionths) != simdjson::SUCCESS) return "-";
    return fmt::format("{}.{:06}", millionths / 1'000'000, millionths % 1'000'000);
}

std::string windows_of(element parts) {
    const std::string expected = cell_of(parts, "windows_expected");
    return expected == "-" ? expected : cell_of(parts, "windows_passed") + "/" + expected;
}

std::vector<std::string> row_of(element candidate) {
    const std::string why = is_true(candidate, "ejected")    ? "ejected"
                            : is_true(candidate, "eligible") ? "eligible"
                                                             : cell_of(candidate, "reason");
    std::vector<std::string> row{cell_of(candidate, "agent_id"), cell_of(candidate, "node_id"), why,
                                 cell_of(candidate, "price_usd_per_vcpu_hour"),
                                 fraction_of(candidate, "trust")};
    element parts;
    if (candidate["trust_parts"].get(parts) == simdjson::SUCCESS) {
        for (const char* factor : {"attestation", "health", "behaviour"})
            row.push_back(fraction_of(parts, factor));
        row.push_back(windows_of(parts));
        row.push_back(cell_of(parts, "abuse_reports"));
    } else {
        row.insert(row.end(), 5, "-");
    }
    row.push_back(cell_of(candidate, "effective_price_usd_per_vcpu_hour"));
    row.push_back(cell_of(candidate, "open_streams") + "/" + cell_of(candidate, "stream_limit"));
    return row;
}

}  // namespace

int run_route_explain(const RouteExplainOptions& options, Context& context) {
    const auto client = ControlPlaneClient::from_environment(options.url, context);
    if (!client) {
        context.err << "eectl: " << client.error().detail << '\n';
        return exit_usage;
    }
    const auto body = client->get("/v1/route/" + percent_encoded(options.app) + "/explain");
    if (!body) return report_refusal(*client, body.error(), context);
    simdjson::dom::parser parser;
    element root;
    array candidates;
    if (parser.parse(*body).get(root) != simdjson::SUCCESS ||
        root["candidates"].get(candidates) != simdjson::SUCCESS)
        return report_refusal(
            *client,
            {.code = "bad_answer", .detail = "the answer explains no route: is this a control plane?"},
            context);
    if (options.json) {
        context.out << simdjson::minify(root) << '\n';
        return exit_good;
    }
    TextTable rows{{"AGENT", "NODE", "STATUS", "PRICE", "TRUST", "ATTESTATION", "HEALTH", "BEHAVIOUR",
                    "WINDOWS", "ABUSE", "PRICE/TRUST", "STREAMS"}};
    for (const element candidate : candidates) rows.push_back(row_of(candidate));
    print_table(context.out, rows);
    const std::string chosen = cell_of(root, "chosen");
    if (chosen == "-")
        context.out << "The next request is refused: " << cell_of(root, "refusal") << ".\n";
    else
        context.out << "The next request would go to " << chosen << ".\n";
    return exit_good;
}

}  // namespace ee::cli
