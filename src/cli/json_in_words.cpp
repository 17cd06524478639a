#include "cli/json_in_words.h"

#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include "base/printable.h"

namespace ee::cli {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

std::string indent(int depth) {
    return std::string(static_cast<std::size_t>(2 * depth), ' ');
}

// A scalar or an empty list beside its name, anything else indented below it.
void print_member(std::ostream& out, std::string_view name, element value, int depth) {
    array list;
    const bool is_list = value.get(list) == simdjson::SUCCESS;
    if (value.is_object() || (is_list && list.size() != 0)) {
        out << indent(depth) << printable(name) << '\n';
        print_tree(out, value, depth + 1);
    } else {
        out << fmt::format("{}{:<25} {}\n", indent(depth), printable(name), is_list ? "(none)" : cell(value));
    }
}

std::string list_cell(array items) {
    std::string text;
    for (const element item : items) {
        if (item.is_object() || item.is_array()) return std::to_string(items.size());
        text += (text.empty() ? "" : ", ") + cell(item);
    }
    return text;
}

}  // namespace

std::string cell(element value) {
    if (value.is_null()) return "-";
    std::string text;
    std::string_view raw;
    if (value.get(raw) == simdjson::SUCCESS) {
        text = raw;
    } else if (array list; value.get(list) == simdjson::SUCCESS) {
        text = list_cell(list);
    } else {
        text = simdjson::minify(value);
    }
    return text.empty() ? "-" : printable(text);
}

std::string cell_of(element object, const char* field) {
    element value;
    return object[field].get(value) == simdjson::SUCCESS ? cell(value) : "-";
}

void print_table(std::ostream& out, const TextTable& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    }
}

void print_tree(std::ostream& out, element value, int depth) {
    object members;
    if (value.get(members) == simdjson::SUCCESS) {
        for (const auto& [name, inner] : members) print_member(out, name, inner, depth);
        return;
    }
    array items;
    if (value.get(items) != simdjson::SUCCESS) return;
    for (const element item : items) {
        if (!item.is_object() && !item.is_array()) {
            out << indent(depth) << "- " << cell(item) << '\n';
            continue;
        }
        out << indent(depth) << "-\n";
        print_tree(out, item, depth + 1);
    }
}

}  // namespace ee::cli
