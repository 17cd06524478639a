#include "agent/identity.h"

#include <fstream>
#include <sstream>

#include <simdjson.h>

#include "base/hex.h"
#include "base/names.h"
#include "base/replace_file.h"
#include "base/writable_folder.h"
#include "crypto/digest.h"
#include "net/url.h"

namespace ee::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t file_bytes_max = 64 * 1024;

// A version 4 UUID (RFC 9562 section 5.4).
std::string new_uuid() {
    auto bytes = crypto::random_bytes<16>();
    bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
    std::string text = to_hex(bytes);
    for (const std::size_t at : {8, 13, 18, 23}) text.insert(at, "-");
    return text;
}

std::optional<std::string> read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    std::string text(file_bytes_max, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.pop_back();
    return text;
}

Result<Claims> read_claims(const fs::path& file) {
    const auto text = read_file(file);
    if (!text) return fail("measurements_invalid", "cannot read " + file.string());
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(*text).get_object().get(object) != simdjson::SUCCESS)
        return fail("measurements_invalid", file.string() + " must hold a JSON object");
    Claims claims;
    for (const auto& [name, value] : object) {
        std::string_view word;
        bool flag;
        if (value.get_string().get(word) == simdjson::SUCCESS)
            claims[std::string(name)] = std::string(word);
        else if (value.get_bool().get(flag) == simdjson::SUCCESS)
            claims[std::string(name)] = flag;
        else if (value.is_null())
            claims[std::string(name)] = nullptr;
        else
            return fail("measurements_invalid",
                        file.string() + ": " + std::string(name) + " must be a string, a boolean or null");
    }
    return claims;
}

fs::path agent_id_file(const config::AgentConfig& config) {
    return config.state_dir / "agent_id";
}

// nullopt where there is none yet.
Result<std::optional<std::string>> kept_agent_id(const config::AgentConfig& config) {
    auto text = read_file(agent_id_file(config));
    if (!text) return std::optional<std::string>();
    std::string id = trimmed(std::move(*text));
    if (is_agent_id(id)) return std::optional(std::move(id));
    return fail("state_dir_unusable",
                agent_id_file(config).string() + " does not hold an agent id; remove it to get a new one");
}

Result<void> require_local(std::string_view setting, const std::string& url) {
    const auto parsed = net::parse_url(url);
    if (!parsed) return fail(parsed.error());
    if (parsed->is_loopback()) return {};
    return fail("sealed_backend_not_local", std::string(setting) + " is " + url +
                                                ": a sealed agent sends plaintext only to loopback or unix:");
}

}  // namespace

Result<void> check_state_folder(const config::AgentConfig& config) {
    if (config.agent_id) return {};
    const auto kept = kept_agent_id(config);
    if (!kept) return fail(kept.error());
    if (*kept) return {};
    const auto writable = check_writable(config.state_dir);
    if (!writable) return fail("state_dir_unusable", "EE_STATE_DIR: " + writable.error().detail);
    return {};
}

Result<std::string> agent_id_of(const config::AgentConfig& config) {
    if (config.agent_id) return *config.agent_id;
    std::error_code error;
    const bool made = fs::create_directories(config.state_dir, error);
    if (error)
        return fail("state_dir_unusable",
                    "cannot create EE_STATE_DIR " + config.state_dir.string() + ": " + error.message());
    if (made) fs::permissions(config.state_dir, fs::perms::owner_all, error);
    if (made && error)
        return fail("state_dir_unusable", "cannot keep others out of EE_STATE_DIR " +
                                              config.state_dir.string() + ": " + error.message());
    auto kept = kept_agent_id(config);
    if (!kept) return fail(kept.error());
    if (*kept) return **std::move(kept);
    std::string id = new_uuid();
    if (const auto saved = replace_file(agent_id_file(config), id + '\n', 0600); !saved)
        return fail("state_dir_unusable", "cannot write " + saved.error().detail);
    return id;
}

fs::path sealed_folder(const config::AgentConfig& config) {
    if (config.quote_provider == config::QuoteProviderKind::simulated && config.simulated_dir)
        return *config.simulated_dir;
    return EE_SEALED_FOLDER;
}

std::string config_sha256(const config::AgentConfig& config) {
    Claims settings;
    settings["EE_APP_NAME"] = config.app_name;
    settings["EE_BACKEND_URL"] = config.backend_url;
    settings["EE_HEALTH_URL"] = config.health_url ? Claim(*config.health_url) : Claim(nullptr);
    settings["EE_NETWORK"] = config.network;
    settings["EE_RELEASE_TAG"] = config.release_tag;
    settings["EE_REPO"] = config.repo;
    return to_hex(crypto::sha256(as_bytes(canonical_json(settings))));
}

bool is_built_sealed(const config::AgentConfig& config) {
    return trimmed(read_file(sealed_folder(config) / "sealed").value_or("")) == "true";
}

Result<Claims> claims_of(const config::AgentConfig& config) {
    const fs::path folder = sealed_folder(config);
    const bool built_sealed = is_built_sealed(config);
    const bool sealed = built_sealed && config.sealed.value_or(true);

    Claims claims;
    if (built_sealed) {
        if (config.measurements_file)
            return fail("sealed_measurements_file",
                        "EE_MEASUREMENTS_FILE is set, but a sealed image takes its claims from " +
                            (folder / "measurements.json").string());
        std::error_code error;
        if (fs::exists(folder / "measurements.json", error)) {
            auto read = read_claims(folder / "measurements.json");
            if (!read) return read;
            claims = std::move(*read);
        }
    } else if (config.measurements_file) {
        auto read = read_claims(*config.measurements_file);
        if (!read) return fail(read.error().code, "EE_MEASUREMENTS_FILE: " + read.error().detail);
        claims = std::move(*read);
    }
    if (sealed) {
        if (auto local = require_local("EE_BACKEND_URL", config.backend_url); !local)
            return fail(local.error());
        if (config.health_url)
            if (auto local = require_local("EE_HEALTH_URL", *config.health_url); !local)
                return fail(local.error());
    }
    claims["sealed"] = sealed;
    claims["config_sha256"] = config_sha256(config);
    return claims;
}

}  // namespace ee::agent
