#include "cli/evidence_commands.h"

#include <fstream>
#include <ostream>

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "attestation/evidence_json.h"
#include "base/printable.h"
#include "cli/control_plane_client.h"

namespace ee::cli {

namespace att = ee::attestation;

namespace {

// Empty: this is the last page, or no page at all, which whoever verifies it will say.
std::string next_cursor_of(const std::string& page) {
    simdjson::dom::parser parser;
    std::string_view cursor;
    if (parser.parse(page)["next_cursor"].get_string().get(cursor) != simdjson::SUCCESS) return {};
    return std::string(cursor);
}

}  // namespace

int run_evidence_fetch(const EvidenceFetchOptions& options, Context& context) {
    const auto client = ControlPlaneClient::from_environment(options.url, context);
    if (!client) {
        context.err << "eectl: " << client.error().detail << '\n';
        return exit_usage;
    }
    std::string target = fmt::format("/v1/apps/{}/evidence?include=collateral,allowlist&limit=500",
                                     percent_encoded(options.app));
    if (!options.id.empty()) target += "&id=" + percent_encoded(options.id);
    if (!options.cursor.empty()) target += "&cursor=" + percent_encoded(options.cursor);
    const auto body = client->get(target);
    if (!body) return report_refusal(*client, body.error(), context);
    if (const std::string cursor = next_cursor_of(*body); !cursor.empty())
        context.err << "eectl: one page of several; more agents with --cursor " << printable(cursor) << '\n';
    if (options.out.empty()) {
        context.out << *body << '\n';
        return exit_good;
    }
    std::ofstream out(options.out, std::ios::binary | std::ios::trunc);
    out << *body << '\n';
    out.close();
    if (out) return exit_good;
    context.err << "eectl: " << options.out << " cannot be written\n";
    return exit_refused;
}

int run_evidence_show(const EvidenceShowOptions& options, Context& context) {
    const auto text = att::read_whole_file(options.file, att::evidence_file_size_max);
    if (!text) {
        context.err << "eectl: " << text.error().detail << '\n';
        return exit_usage;
    }
    const auto file = att::parse_evidence_file(*text);
    if (!file) {
        context.err << fmt::format("eectl: {}: {}\n", file.error().code, file.error().detail);
        return exit_refused;
    }
    // As it stands, laid out to be read; what fills pages is named by its size.
    simdjson::dom::parser parser;
    const simdjson::dom::element root = parser.parse(*text);
    const simdjson::dom::array items = root["items"];
    for (const simdjson::dom::element item : items) {
        const simdjson::dom::object members = item.get_object();
        for (const auto& [name, value] : members) {
            std::string shown = simdjson::minify(value);
            if (name == "quote" && !value.is_null())
                shown = fmt::format("{} characters of base64", shown.size() - 2);
            context.out << fmt::format("{:<18}{}\n", name, shown);
        }
        context.out << '\n';
    }
    for (const auto& [sha256, content] : file->contents)
        context.out << fmt::format("{:<18}{:<26}{} bytes, SHA-256 {}\n", "content", content.kind,
                                   content.bytes.size(), sha256);
    return exit_good;
}

}  // namespace ee::cli
