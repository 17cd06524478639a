// Writes docs/configuration.md to standard output; `make docs` puts it in its place.

#include <cstdio>

#include "config/describe.h"

int main() {
    const std::string text = ee::config::configuration_markdown();
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
}
