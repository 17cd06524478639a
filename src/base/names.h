#pragma once
// What names may look like. Everything an agent says about itself passes through here before it is stored,
// logged or shown.

#include <string_view>

namespace ee {

// "owner/name": owner [A-Za-z0-9-]{1,39}, name [A-Za-z0-9._-]{1,100}, not "." or "..".
bool is_repo(std::string_view text);

// 1-128 bytes of UTF-8: no control character, no backslash, no "..", no leading slash.
bool is_release_tag(std::string_view text);

// A DNS label in lower case: 1-63 of [a-z0-9-], no hyphen at either end (RFC 1123 section 2.1).
bool is_app_name(std::string_view text);

// 1-128 of [A-Za-z0-9._:-]: agent ids and node ids.
bool is_agent_id(std::string_view text);
inline bool is_node_id(std::string_view text) {
    return is_agent_id(text);
}

// 1-64 of [A-Za-z0-9._-]. Whether such a network is configured is the registry's question.
bool is_network_name(std::string_view text);

}  // namespace ee
