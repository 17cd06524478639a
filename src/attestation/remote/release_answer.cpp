#include "attestation/remote/release_answer.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::size_t json_depth_max = 32;
constexpr std::string_view digest_prefix = "sha256:";

Result<std::string_view> text_of(const object& from, std::string_view name) {
    std::string_view text;
    if (from[name].get_string().get(text) != simdjson::SUCCESS)
        return fail("bad_answer", fmt::format("\"{}\" is absent or not a string", name));
    return text;
}

Result<ReleaseAsset> read_asset(const object& from) {
    ReleaseAsset out;
    const auto url = text_of(from, "url");
    if (!url) return fail(url.error());
    out.url = *url;
    // Absent on servers that never say it. An upload that was broken off stays in another state.
    std::string_view state, digest;
    if (from["state"].get_string().get(state) == simdjson::SUCCESS && state != "uploaded")
        return fail("asset_missing", fmt::format("its state is \"{}\", not \"uploaded\"", state));
    std::uint64_t size = 0;
    if (from["size"].get_uint64().get(size) == simdjson::SUCCESS) out.size = size;
    if (from["digest"].get_string().get(digest) == simdjson::SUCCESS && digest.starts_with(digest_prefix))
        out.sha256 = from_hex_exact<32>(digest.substr(digest_prefix.size()));
    return out;
}

}  // namespace

Result<ReleaseAsset> parse_release_answer(std::string_view json, std::string_view tag,
                                          std::string_view asset_name) {
    if (json.size() > release_answer_size_max) return fail("bad_answer", "the answer is too large");
    simdjson::dom::parser parser;
    element root;
    object release;
    simdjson::dom::array assets;
    if (parser.allocate(std::max<std::size_t>(json.size(), 64), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS ||
        root.get_object().get(release) != simdjson::SUCCESS)
        return fail("bad_answer", "the answer is not a JSON object");
    const auto named = text_of(release, "tag_name");
    if (!named) return fail(named.error());
    if (*named != tag)
        return fail("bad_answer",
                    fmt::format("the answer is about release \"{}\", asked was \"{}\"", *named, tag));
    if (release["assets"].get_array().get(assets) != simdjson::SUCCESS)
        return fail("bad_answer", "\"assets\" is absent or not a list");
    std::optional<object> found;
    for (const element item : assets) {
        object asset;
        if (item.get_object().get(asset) != simdjson::SUCCESS)
            return fail("bad_answer", "an asset is not an object");
        const auto name = text_of(asset, "name");
        if (!name) return fail(name.error());
        if (*name != asset_name) continue;
        if (found) return fail("bad_answer", fmt::format("two assets are called \"{}\"", asset_name));
        found = asset;
    }
    if (!found) return fail("asset_missing", fmt::format("release {} has no asset \"{}\"", tag, asset_name));
    return read_asset(*found);
}

}  // namespace ee::attestation
