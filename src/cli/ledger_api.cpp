#include "cli/ledger_api.h"

#include <algorithm>
#include <ostream>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/hex.h"
#include "base/json_writer.h"
#include "base/printable.h"
#include "cli/control_plane_client.h"
#include "cli/json_in_words.h"
#include "crypto/random_pool.h"
#include "ledger/refusals.h"

namespace ee::cli {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::size_t page_items_max = 500;
// An end for a server that loops.
constexpr std::size_t pages_max = 100'000;
constexpr std::string_view owner_token_field = "X-EE-Owner-Token";

std::string owner_token_of(const Context& context) {
    return context.environment("EECTL_OWNER_TOKEN").value_or("");
}

// "node_id" is called "NODE ID" over a column.
std::string title_of(std::string_view field) {
    std::string title(field);
    for (char& c : title) c = c == '_' ? ' ' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return title;
}

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

// The argument of a command without "{}" in its path is a field of the body.
std::string_view argument_field(const ApiCommand& command) {
    if (command.path.find("{}") != std::string_view::npos) return {};
    if (command.argument == "ACCOUNT_ID") return "account_id";
    return command.argument == "NODE_ID" ? "node_id" : "";
}

std::string target_of(const ApiCall& call) {
    std::string target(call.command->path);
    if (const std::size_t place = target.find("{}"); place != std::string::npos)
        target.replace(place, 2, percent_encoded(call.argument));
    for (const ApiField& field : call.command->fields) {
        const auto value = call.values.find(field.name);
        if (!field.in_query || value == call.values.end()) continue;
        target += fmt::format("{}{}={}", target.find('?') == std::string::npos ? '?' : '&', field.name,
                              percent_encoded(value->second));
    }
    return target;
}

std::string body_of(const ApiCall& call) {
    std::string body;
    JsonWriter json(body);
    json.begin_object();
    if (const auto name = argument_field(*call.command); !name.empty()) json.field(name, call.argument);
    for (const ApiField& field : call.command->fields) {
        const auto value = call.values.find(field.name);
        if (field.in_query || value == call.values.end()) continue;
        json.key(field.name);
        if (field.kind == ApiField::Kind::text)
            json.value(value->second);
        else
            json.raw(value->second);
    }
    json.end_object();
    return body;
}

const Error not_an_answer{.code = "bad_answer",
                          .detail = "the answer is not JSON of the ledger: is this a control plane?"};

// Its lines as they are: it can be copied, and its signature still holds.
void print_checkpoint(std::ostream& out, std::string_view note) {
    out << "checkpoint\n";
    while (!note.empty()) {
        const std::size_t end = std::min(note.find('\n'), note.size());
        out << printable(note.substr(0, end)) << '\n';
        note.remove_prefix(std::min(end + 1, note.size()));
    }
}

// Receipts and bundles are for machines.
void print_object(std::ostream& out, element root) {
    object members;
    if (root.get(members) != simdjson::SUCCESS) return;
    std::string shown;
    JsonWriter json(shown);
    json.begin_object();
    for (const auto& [name, value] : members)
        if (name != "receipt" && name != "evidence" && name != "checkpoint")
            json.key(name).raw(simdjson::minify(value));
    json.end_object();
    simdjson::dom::parser parser;
    print_tree(out, parser.parse(shown).value(), 0);
    if (std::uint64_t leaf = 0; root["receipt"]["leaf_index"].get(leaf) == simdjson::SUCCESS)
        out << fmt::format(
            "{:<26}of leaf {}; --json has it, `eectl ledger verify FILE --control-allowlist FILE` (or --key "
            "FILE) checks it\n",
            "receipt", leaf);
    if (std::string_view note; root["checkpoint"].get(note) == simdjson::SUCCESS) print_checkpoint(out, note);
}

int run_list(const ApiCall& call, const ControlPlaneClient& client, Context& context) {
    const std::vector<std::string> columns = words_of(call.command->columns);
    const std::string target = target_of(call);
    const std::size_t wanted = call.limit == 0 ? pages_max * page_items_max : call.limit;
    TextTable rows{{}};
    for (const std::string& column : columns) rows[0].push_back(title_of(column));
    std::string cursor;
    std::size_t count = 0;
    simdjson::dom::parser parser;
    if (call.json) context.out << "{\"items\":[";
    for (std::size_t page = 0; page < pages_max && count < wanted; ++page) {
        const auto body = client.get(fmt::format("{}{}limit={}{}", target,
                                                 target.find('?') == std::string::npos ? '?' : '&',
                                                 std::min(page_items_max, wanted - count),
                                                 cursor.empty() ? "" : "&cursor=" + percent_encoded(cursor)));
        element root;
        array items;
        if (!body) return report_refusal(client, body.error(), context);
        if (parser.parse(*body).get(root) != simdjson::SUCCESS ||
            root["items"].get(items) != simdjson::SUCCESS)
            return report_refusal(client, not_an_answer, context);
        for (const element item : items) {
            if (call.json) {
                context.out << (count == 0 ? "" : ",") << simdjson::minify(item);
            } else {
                std::vector<std::string>& row = rows.emplace_back();
                for (const std::string& column : columns) row.push_back(cell_of(item, column.c_str()));
            }
            ++count;
        }
        std::string_view next;
        if (root["next_cursor"].get(next) != simdjson::SUCCESS || next.empty()) break;
        cursor = next;
    }
    if (call.json)
        context.out << "],\"next_cursor\":null}\n";
    else if (count == 0)
        context.out << "None.\n";
    else
        print_table(context.out, rows);
    return exit_good;
}

int show(const ApiCall& call, const ControlPlaneClient& client, const std::string& body, Context& context) {
    simdjson::dom::parser parser;
    element root;
    if (parser.parse(body).get(root) != simdjson::SUCCESS || !root.is_object())
        return report_refusal(client, not_an_answer, context);
    if (call.json)
        context.out << simdjson::minify(root) << '\n';
    else
        print_object(context.out, root);
    return exit_good;
}

// The server speaks of the body's fields; here they are options.
std::string in_options(std::string detail, const ApiCommand& command) {
    for (const ApiField& field : command.fields) {
        const std::string sent = fmt::format("send \"{}\": true", field.name);
        if (const std::size_t at = detail.find(sent); at != std::string::npos)
            detail.replace(at, sent.size(), "say " + option_of(field));
    }
    return detail;
}

// What else there is to say of a refusal. Status 0: no answer came.
void advise(const ApiCall& call, const Error& why, int status, const std::string& key, Context& context) {
    if (why.detail.find(owner_token_field) != std::string::npos)
        context.err << (owner_token_of(context).empty()
                            ? "eectl: set EECTL_OWNER_TOKEN to the token of the account that pays\n"
                            : "eectl: EECTL_OWNER_TOKEN is not the token of the account that pays\n");
    if (call.changes_nothing()) return;
    const bool may_help_again = status == 0 || status == 429 || status >= 500;
    if (may_help_again || why.code == "idempotency_in_flight")
        context.err << fmt::format(
            "eectl: to try the same again, and have it done once: --idempotency-key {}\n", key);
    else if (ledger::is_business_refusal(why.code))
        context.err
            << "eectl: this answer is kept under the call's key; once the reason is gone, ask again with a "
               "new one\n";
}

int run_post(const ApiCall& call, const ControlPlaneClient& client, Context& context) {
    const std::string key = call.idempotency_key.value_or(to_hex(crypto::random_bytes<16>()));
    std::vector<std::pair<std::string, std::string>> fields{{"Idempotency-Key", key}};
    if (std::string token = owner_token_of(context);
        !token.empty() && call.command->path == "/v1/nodes/register")
        fields.emplace_back(owner_token_field, std::move(token));
    const auto answer = client.post(target_of(call), body_of(call), std::move(fields));
    if (answer && (answer->status == 200 || answer->status == 201)) {
        const int code = show(call, client, answer->body, context);
        if (!context.out.flush() && !call.changes_nothing())
            context.err << fmt::format(
                "eectl: it is done; for its answer again, without the secrets it showed once: "
                "--idempotency-key {}\n",
                key);
        return code;
    }
    Error why = answer ? refusal_of(*answer) : answer.error();
    why.detail = in_options(std::move(why.detail), *call.command);
    const int code = report_refusal(client, why, context);
    advise(call, why, answer ? answer->status : 0, key, context);
    return code;
}

bool is_field_value(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

int run_api_call(const ApiCall& call, Context& context) {
    const auto refuse = [&](std::string_view why) {
        context.err << "eectl: " << why << '\n';
        return exit_usage;
    };
    const std::string_view key = call.idempotency_key ? std::string_view(*call.idempotency_key) : "-";
    if (key.empty() || !is_field_value(key) || key.size() > 128)
        return refuse("--idempotency-key must be 1 to 128 visible ASCII characters");
    if (!is_field_value(owner_token_of(context)))
        return refuse("EECTL_OWNER_TOKEN must be visible ASCII characters");
    const auto client = ControlPlaneClient::from_environment(call.url, context);
    if (!client) return refuse(client.error().detail);
    if (call.command->method == "POST") return run_post(call, *client, context);
    if (!call.command->columns.empty()) return run_list(call, *client, context);
    const auto body = client->get(target_of(call));
    return body ? show(call, *client, *body, context) : report_refusal(*client, body.error(), context);
}

}  // namespace ee::cli
