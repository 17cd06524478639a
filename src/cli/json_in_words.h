#pragma once
// JSON as a person reads it. Names come from strangers: they are shown as printable() has them.

#include <iosfwd>
#include <string>
#include <vector>

#include <simdjson.h>

namespace ee::cli {

// One value; "-" for null and nothing, a list's values, or its size where they are no scalars.
std::string cell(simdjson::dom::element value);
// The value of an object's field.
std::string cell_of(simdjson::dom::element object, const char* field);

// Rows of columns, the first one being titles.
using TextTable = std::vector<std::vector<std::string>>;
void print_table(std::ostream& out, const TextTable& rows);

// An object's fields below each other, what is nested indented.
void print_tree(std::ostream& out, simdjson::dom::element value, int depth);

}  // namespace ee::cli
