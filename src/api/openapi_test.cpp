// openapi.yaml and the route table say the same, in both directions. The reader knows as much YAML as the
// file uses: block mappings, two columns a level.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "api/openapi_text.h"
#include "api/routes.h"

namespace ee::api {
namespace {

struct Operation {
    std::set<std::string> security;  // Names of schemes; "{}" means that none is needed either.
    bool security_given = false;
    std::string operation_id;
    std::vector<std::string> responses;  // Status codes.
    std::string last_parameter;
    std::set<std::string> query_parameters, parameter_references;
};

struct Document {
    std::map<std::string, Operation> operations;  // By "GET /path".
    std::set<std::string> components;             // As "#/components/schemas/Name".
    std::set<std::string> query_components;       // Of those, the parameters of a query.
    std::set<std::string> references;
};

struct Line {
    std::size_t indent;
    std::string key;    // Of "key: value"; without quotes.
    std::string value;  // May be empty.
};

std::string unquoted(std::string text) {
    if (text.size() >= 2 && text.front() == '\'' && text.back() == '\'')
        return text.substr(1, text.size() - 2);
    return text;
}

Line split(const std::string& text) {
    const std::size_t indent = std::min(text.find_first_not_of(' '), text.size());
    std::string content = text.substr(indent);
    // A key may be quoted; what separates it from its value is a colon before a space or the line's end.
    std::size_t colon = content.find(": ");
    if (colon == std::string::npos && content.ends_with(':')) colon = content.size() - 1;
    if (colon == std::string::npos) return {indent, content, ""};
    const std::size_t value = std::min(content.find_first_not_of(' ', colon + 1), content.size());
    return {indent, unquoted(content.substr(0, colon)), unquoted(content.substr(value))};
}

std::string upper(std::string text) {
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return text;
}

// Of a path's keys: OpenAPI knows no other methods.
constexpr const char* methods[] = {"get", "head", "post", "put", "patch", "delete", "options", "trace"};

bool is_method(const std::string& key) {
    return std::ranges::find(methods, key) != std::end(methods);
}

// Takes a line of an operation, whose own keys stand in column 6.
void read_operation_line(Operation& operation, const std::string& section, const Line& line) {
    if (line.indent == 6 && line.key == "operationId") operation.operation_id = line.value;
    if (line.indent == 6 && line.key == "security") operation.security_given = true;
    if (section == "responses" && line.indent == 8) operation.responses.push_back(line.key);
    if (section == "parameters" && line.key == "- name") operation.last_parameter = line.value;
    if (section == "parameters" && line.key == "in" && line.value == "query")
        operation.query_parameters.insert(operation.last_parameter);
    if (section == "parameters" && line.key == "- $ref") operation.parameter_references.insert(line.value);
    if (section == "security" && line.indent == 8 && line.key.starts_with("- "))
        operation.security.insert(line.key.substr(2));
}

// Wherever they stand in the line: mappings of one line hold them too.
void read_references(const std::string& text, std::set<std::string>& references) {
    constexpr std::string_view mark = "$ref: '";
    for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
        at += mark.size();
        references.insert(text.substr(at, text.find('\'', at) - at));
    }
}

Document read_document(std::string_view yaml) {
    Document document;
    std::istringstream input{std::string(yaml)};
    std::string top, middle, component, section, text;  // Keys of the enclosing levels.
    Operation* operation = nullptr;
    while (std::getline(input, text)) {
        if (text.find_first_not_of(' ') == std::string::npos) continue;
        const Line line = split(text);
        read_references(text, document.references);
        if (line.indent == 0) top = line.key;
        if (line.indent == 2) {
            middle = line.key;
            operation = nullptr;
        }
        if (top == "components" && line.indent == 4) {
            component = "#/components/" + middle + "/" + line.key;
            document.components.insert(component);
        }
        if (top == "components" && middle == "parameters" && text.find("in: query") != std::string::npos)
            document.query_components.insert(component);
        if (top != "paths") continue;
        if (line.indent == 4 && is_method(line.key))
            operation = &document.operations[upper(line.key) + " " + middle];
        if (line.indent == 6) section = line.key;
        if (operation != nullptr && line.indent >= 6) read_operation_line(*operation, section, line);
    }
    return document;
}

const Document& document() {
    static const Document read = read_document(openapi_text());
    return read;
}

std::vector<std::string> names_of(const Route& route) {
    const std::string path(route.path);
    if (route.method != any_method) return {std::string(route.method) + " " + path};
    std::vector<std::string> names;
    for (const char* method : methods) names.push_back(upper(method) + " " + path);
    return names;
}

TEST(Openapi, DescribesEveryRoute) {
    for (const Route& route : routes())
        for (const std::string& name : names_of(route))
            EXPECT_TRUE(document().operations.contains(name))
                << name << " is in routes.cpp, but not in openapi.yaml";
}

TEST(Openapi, DescribesNoRouteThatIsNotServed) {
    std::set<std::string> served;
    for (const Route& route : routes())
        for (const std::string& name : names_of(route)) served.insert(name);
    for (const auto& [name, operation] : document().operations)
        EXPECT_TRUE(served.contains(name)) << name << " is in openapi.yaml, but not in routes.cpp";
}

void expect_role(const std::string& name, const Operation& operation, Access access) {
    EXPECT_TRUE(operation.security_given) << name << " does not say who may call it";
    const bool open = operation.security.empty() || operation.security.contains("{}");
    EXPECT_EQ(open, access.includes(Role::anyone)) << name;
    if (open) return;
    struct Row {
        Role role;
        std::vector<const char*> schemes;  // one of them, where it may call
    };
    const Row rows[] = {
        {Role::admin, {"admin"}},   {Role::metrics, {"metrics"}}, {Role::launcher, {"launcher"}},
        {Role::uptime, {"uptime"}}, {Role::auditor, {"auditor"}}, {Role::holder, {"account", "node"}},
        {Role::app, {"app"}}};
    for (const Row& row : rows)
        EXPECT_EQ(std::ranges::any_of(
                      row.schemes, [&](const char* scheme) { return operation.security.contains(scheme); }),
                  access.includes(row.role))
            << name << " and " << row.schemes.front();
}

TEST(Openapi, AsksForTheRoleThatTheRouteAsksFor) {
    for (const Route& route : routes())
        for (const std::string& name : names_of(route)) {
            const auto found = document().operations.find(name);  // Another test says when it is missing.
            if (found != document().operations.end()) expect_role(name, found->second, route.access);
        }
}

// A parameter that is a component is called as the component is.
std::set<std::string> query_parameters_of(const Operation& operation, const Document& of) {
    std::set<std::string> names = operation.query_parameters;
    for (const std::string& reference : operation.parameter_references)
        if (of.query_components.contains(reference)) names.insert(reference.substr(reference.rfind('/') + 1));
    return names;
}

std::set<std::string> words_of(std::string_view text) {
    std::istringstream words{std::string(text)};
    return {std::istream_iterator<std::string>(words), {}};
}

TEST(Openapi, NamesTheQueryParametersThatTheRouteTakes) {
    for (const Route& route : routes()) {
        if (route.parameters == any_parameter) continue;
        const std::string name = names_of(route).front();
        const auto found = document().operations.find(name);
        if (found == document().operations.end()) continue;
        EXPECT_EQ(query_parameters_of(found->second, document()), words_of(route.parameters)) << name;
        EXPECT_TRUE(std::ranges::find(found->second.responses, "400") != found->second.responses.end())
            << name << " does not say that it refuses others";
    }
}

TEST(Openapi, EveryPostThatCreatesOrMovesSomethingTakesAnIdempotencyKey) {
    const std::set<std::string> others = {"POST /v1/proxy/{app}", "POST /v1/proxy/{app}/{path}",
                                          "POST /v1/apps/{app}/attest", "POST /v1/apps/{app}/allowlist",
                                          "POST /v1/apps/{app}/agents/{agent_id}/drain"};
    for (const auto& [name, operation] : document().operations) {
        if (!name.starts_with("POST ")) continue;
        EXPECT_EQ(operation.parameter_references.contains("#/components/parameters/idempotencyKey"),
                  !others.contains(name))
            << name;
    }
}

TEST(Openapi, SaysHowARoleIsRefused) {
    for (const auto& [name, operation] : document().operations) {
        if (operation.security.empty()) continue;
        const std::set<std::string> responses(operation.responses.begin(), operation.responses.end());
        for (const char* status : {"401", "403", "429"})
            EXPECT_TRUE(responses.contains(status)) << name << " has no answer " << status;
    }
}

TEST(Openapi, NamesEveryOperationOnce) {
    std::set<std::string> names;
    for (const auto& [name, operation] : document().operations) {
        EXPECT_FALSE(operation.operation_id.empty()) << name;
        EXPECT_TRUE(names.insert(operation.operation_id).second) << operation.operation_id;
        EXPECT_FALSE(operation.responses.empty()) << name;
    }
}

TEST(Openapi, RefersOnlyToWhatItDefines) {
    EXPECT_FALSE(document().references.empty());
    for (const std::string& reference : document().references)
        EXPECT_TRUE(document().components.contains(reference)) << reference << " is not defined";
}

TEST(Openapi, IsServedAsTheFileStands) {
    std::ifstream file(EE_SOURCE_DIR "/src/api/openapi.yaml", std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_EQ(openapi_text(), text.str());
}

// The reader itself: were it blind, the tests above would pass on anything.
TEST(Openapi, ReaderSeesMethodsSecurityAndReferences) {
    const Document read = read_document(
        "openapi: 3.1.0\n"
        "paths:\n"
        "  /v1/things/{thing}:\n"
        "    parameters:\n"
        "      - $ref: '#/components/responses/Nothing'\n"
        "    delete:\n"
        "      operationId: deleteThing\n"
        "      security:\n"
        "        - admin: []\n"
        "        - {}\n"
        "      parameters:\n"
        "        - $ref: '#/components/parameters/limit'\n"
        "        - $ref: '#/components/parameters/thing'\n"
        "        - name: verbose\n"
        "          in: query\n"
        "        - name: EE-Thing\n"
        "          in: header\n"
        "      responses:\n"
        "        '204':\n"
        "          description: Gone.\n"
        "        '404':\n"
        "          $ref: '#/components/responses/Nothing'\n"
        "        '409': {$ref: '#/components/responses/Something'}\n"
        "components:\n"
        "  parameters:\n"
        "    limit: {name: limit, in: query}\n"
        "    thing:\n"
        "      in: path\n"
        "  responses:\n"
        "    Something:\n"
        "      description: No.\n");
    ASSERT_TRUE(read.operations.contains("DELETE /v1/things/{thing}"));
    EXPECT_EQ(read.operations.size(), 1u);
    const Operation& operation = read.operations.at("DELETE /v1/things/{thing}");
    EXPECT_EQ(operation.operation_id, "deleteThing");
    EXPECT_EQ(operation.security, (std::set<std::string>{"admin", "{}"}));
    EXPECT_EQ(operation.responses, (std::vector<std::string>{"204", "404", "409"}));
    EXPECT_EQ(query_parameters_of(operation, read), (std::set<std::string>{"limit", "verbose"}));
    EXPECT_EQ(read.references,
              (std::set<std::string>{"#/components/parameters/limit", "#/components/parameters/thing",
                                     "#/components/responses/Nothing", "#/components/responses/Something"}));
    EXPECT_EQ(read.components,
              (std::set<std::string>{"#/components/parameters/limit", "#/components/parameters/thing",
                                     "#/components/responses/Something"}));
}

}  // namespace
}  // namespace ee::api
