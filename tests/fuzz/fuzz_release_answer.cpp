// Any bytes as GitHub's answer about a release, and as the answers of a whole look-up: it ends, asks only
// whom it may, and never tells the token to anybody but the API.

#include <string>

#include "attestation/remote/release_answer.h"
#include "attestation/remote/release_fetch.h"
#include "base/check.h"

using namespace ee;
using namespace ee::attestation;

namespace {

const GitHubAddress& github() {
    static const GitHubAddress address{net::parse_url("https://api.github.com").value(), Secret("secret"),
                                       "list.json"};
    return address;
}

bool is_api(std::string host) {
    for (char& c : host)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return host == "api.github.com";
}

// The input in pieces, separated by zeros: a status, a Location, a body for each answer.
std::string_view take_piece(std::string_view& rest) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    const std::string_view piece = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return piece;
}

void check_look_up(std::string_view rest) {
    const WallTime now{std::chrono::seconds(1'700'000'000)};
    ReleaseFetch fetch(github(), {"org/repo", "v1"},
                       KnownAsset{"\"r\"", "\"a\"", "https://api.github.com/a", {}}, now);
    for (int asked = 0;; ++asked) {
        EE_CHECK(asked < 2 + 2 * ReleaseFetch::redirects_max);
        const http::ClientRequest request = fetch.request(now);
        EE_CHECK(request.url.scheme == "https");
        for (const http::ClientField& field : request.fields)
            EE_CHECK(field.name != "Authorization" || is_api(request.url.authority()));
        const std::string_view status = take_piece(rest), location = take_piece(rest);
        http::ClientAnswer answer{200, {{"Location", std::string(location)}}, std::string(take_piece(rest))};
        if (status == "3") answer.status = 302;
        if (status == "4") answer.status = 404;
        if (status == "n") answer.status = 304;
        if (fetch.answered(answer, now)) return;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input = as_text({data, size});
    const auto asset = parse_release_answer(input, "v1", "list.json");
    if (!asset) EE_CHECK(asset.error().code == "bad_answer" || asset.error().code == "asset_missing");
    check_look_up(input);
    return 0;
}
