#pragma once
// eectl account, credits, lock, usage, node, settlement, abuse, ledger: one command for each endpoint of the
// ledger, out of one table. Options are called as the fields are.

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cli/eectl.h"

namespace CLI {
class App;
}

namespace ee::cli {

struct ApiField {
    enum class Kind { text, number, flag, list };
    std::string_view name;   // as in the body or the query; '_' is '-' in the option
    std::string_view about;  // empty: of the table of common ones
    Kind kind = Kind::text;
    bool required = false;
    bool in_query = false;
};

// Such as "--capacity-vcpus".
std::string option_of(const ApiField& field);

struct ApiCommand {
    std::string_view group;
    std::string_view name;
    std::string_view about;
    std::string_view method;
    std::string_view path;      // "{}" stands for the argument
    std::string_view argument;  // what it is called; empty: there is none
    std::span<const ApiField> fields;
    // Of a list: what a line of it shows, separated by spaces. Empty: it is no list.
    std::string_view columns;
};
std::span<const ApiCommand> api_commands();

// What the command line said.
struct ApiCall {
    const ApiCommand* command = nullptr;
    std::string url;
    std::string argument;
    std::map<std::string_view, std::string> values;  // by field; of a list and a flag: JSON
    std::optional<std::string> idempotency_key;
    std::size_t limit = 0;  // of items; 0: all
    bool json = false;

    // A dry run is not remembered under its key either.
    bool changes_nothing() const { return values.contains("dry_run"); }
};
int run_api_call(const ApiCall& call, Context& context);

// Adds every command; `calls` holds what they were given, and outlives `app`.
void add_api_commands(CLI::App& app, std::deque<ApiCall>& calls, std::function<int(Context&)>& command);

}  // namespace ee::cli
