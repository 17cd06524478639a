#include "attestation/policy_file.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "attestation/policy_fields.h"
#include "base/names.h"
#include "base/printable.h"

namespace ee::attestation {
namespace {

constexpr std::size_t networks_max = 256;
constexpr std::size_t problems_max = 200;

// A value as one would write it, cut short.
std::string shown(const toml::node& value) {
    constexpr std::size_t length_max = 80;
    std::string out;
    if (const auto* text = value.as_string()) {
        out = '"' + text->get() + '"';
    } else if (const auto* number = value.as_integer()) {
        out = std::to_string(number->get());
    } else if (const auto* flag = value.as_boolean()) {
        out = flag->get() ? "true" : "false";
    } else if (const auto* list = value.as_array()) {
        for (const toml::node& element : *list) {
            if (out.size() > length_max) break;
            out += (out.empty() ? "" : ", ") + shown(element);
        }
        out = '[' + out + ']';
    } else {
        out = value.is_table() ? "a table" : (value.is_floating_point() ? "a fraction" : "a date or time");
    }
    if (out.size() > length_max) out = out.substr(0, length_max) + "...";
    return out;
}

class Reader {
public:
    explicit Reader(std::string_view file_name) : file_name_(file_name) {}

    void read(const toml::table& root) {
        for (const auto& [key, node] : root) {
            const toml::table* table = node.as_table();
            if (table == nullptr) {
                problem(node, "", key.str(), &node, "must be a table, [NAME], for each network");
            } else if (!is_network_name(key.str())) {
                problem(node, key.str(), "", nullptr,
                        "a network's name must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -");
            } else {
                read_network(std::string(key.str()), *table);
            }
        }
        if (out_.networks.size() > networks_max)
            problem_at(
                0, fmt::format("{} networks, at most {} are allowed", out_.networks.size(), networks_max));
        if (problems_.empty() && out_.in_force(true).all().empty())
            problem_at(0, "no network is left: every one has served = false");
    }

    tl::expected<PolicyFile, PolicyProblems> finish() && {
        if (problems_.empty()) return std::move(out_);
        PolicyProblems sentences;
        for (auto& [line, sentence] : problems_) {
            if (sentences.size() == problems_max) {
                sentences.push_back(
                    fmt::format("{}: and {} more", file_name_, problems_.size() - problems_max));
                break;
            }
            sentences.push_back(std::move(sentence));
        }
        return tl::unexpected<PolicyProblems>(std::move(sentences));
    }

private:
    void problem_at(unsigned line, std::string_view sentence) {
        const std::string text = line == 0 ? fmt::format("{}: {}", file_name_, sentence)
                                           : fmt::format("{}:{}: {}", file_name_, line, sentence);
        // Keys and values may hold anything; the sentences are lines of a log.
        problems_.emplace(line, printable(text));
    }
    // "networks.toml:3: [forge-1] debug = true: <sentence>"
    void problem(const toml::node& where, std::string_view network, std::string_view key,
                 const toml::node* value, std::string_view sentence) {
        std::string subject = network.empty() ? "" : fmt::format("[{}]", network);
        if (!key.empty()) subject += fmt::format("{}{}", subject.empty() ? "" : " ", key);
        if (value != nullptr) subject += " = " + shown(*value);
        problem_at(where.source().begin.line, fmt::format("{}: {}", subject, sentence));
    }
    void warn(std::string_view network, std::string_view sentence) {
        out_.warnings.push_back(fmt::format("{}: [{}] {}", file_name_, network, sentence));
    }

    void read_network(const std::string& name, const toml::table& table);
    bool read_base(const std::string& name, const toml::table& table, NetworkPolicy& policy);
    void read_fields(const std::string& name, const std::string& prefix, const toml::table& table,
                     std::span<const PolicyField> known, NetworkPolicy& policy);
    void check_floor(const toml::table& table, const NetworkPolicy& policy);
    void add_warnings(const NetworkPolicy& policy);

    std::string_view file_name_;
    PolicyFile out_;
    std::multimap<unsigned, std::string> problems_;  // by line; of one line in the order they were found
    std::set<std::string, std::less<>> unread_;      // keys of the present network whose value is not allowed
};

void Reader::read_network(const std::string& name, const toml::table& table) {
    PolicyFile::Network network;
    const bool base_known = read_base(name, table, network.policy);
    network.policy.name = name;
    if (const toml::node* served = table.get("served")) {
        if (const auto* flag = served->as_boolean())
            network.served = flag->get();
        else
            problem(*served, name, "served", served, "must be true or false");
    }
    unread_.clear();
    read_fields(name, "", table, policy_fields(), network.policy);
    if (base_known && !unread_.contains("sealed")) check_floor(table, network.policy);
    add_warnings(network.policy);
    out_.networks.push_back(std::move(network));
}

bool Reader::read_base(const std::string& name, const toml::table& table, NetworkPolicy& policy) {
    const toml::node* node = table.get("base");
    const auto* text = node == nullptr ? nullptr : node->as_string();
    const std::string base = text != nullptr ? text->get() : (name == "sandbox-1" ? name : "forge-1");
    policy = base == "sandbox-1" ? sandbox_1_policy(true) : forge_1_policy();
    const bool known = (node == nullptr || text != nullptr) && (base == "forge-1" || base == "sandbox-1");
    if (!known) problem(*node, name, "base", node, "must be \"forge-1\" or \"sandbox-1\"");
    return known;
}

void Reader::read_fields(const std::string& name, const std::string& prefix, const toml::table& table,
                         std::span<const PolicyField> known, NetworkPolicy& policy) {
    for (const auto& [key, node] : table) {
        if (prefix.empty() && (key.str() == "base" || key.str() == "served")) continue;
        const std::string full = prefix + std::string(key.str());
        const auto found = std::find_if(known.begin(), known.end(),
                                        [&](const PolicyField& field) { return field.name == key.str(); });
        if (found == known.end()) {
            std::string names = prefix.empty() ? "base, served" : "";
            for (const PolicyField& field : known) names.append(names.empty() ? "" : ", ").append(field.name);
            problem(node, name, full, &node, "no such key; known are " + names);
        } else if (found->read == nullptr) {
            const toml::table* inner = node.as_table();
            if (inner != nullptr) {
                read_fields(name, full + '.', *inner, found->members, policy);
                continue;
            }
            problem(node, name, full, &node, fmt::format("must be {}", found->allowed));
            unread_.insert(full);
        } else if (const toml::node* wrong = found->read(node, policy)) {
            problem(*wrong, name, full, wrong, fmt::format("must be {}", found->allowed));
            unread_.insert(full.substr(0, full.find('.')));
        }
    }
}

// What no setting can take from a sealed network.
void Reader::check_floor(const toml::table& table, const NetworkPolicy& policy) {
    const auto refuse = [&](bool weaker, std::string_view key, std::string_view sentence) {
        if (!weaker || unread_.contains(key)) return;
        const toml::node* node = table.get(key);
        const bool own_value = node != nullptr && !node->is_table();
        problem(node == nullptr ? static_cast<const toml::node&>(table) : *node, policy.name, key,
                own_value ? node : nullptr,
                fmt::format("{}{}", own_value || node != nullptr ? "" : "(from its base) ", sentence));
    };
    if (!policy.sealed_required) {
        return refuse(policy.name == "forge-1", "sealed",
                      "forge-1 is always sealed; give a network of unsealed machines another name");
    }
    using enum QuoteRegister;
    const auto& registers = policy.registers_required;
    const bool registers_named = registers.contains(mrtd) && registers.contains(rtmr0) &&
                                 registers.contains(rtmr1) && registers.contains(rtmr2);
    refuse(policy.debug_allowed, "debug", "a sealed network admits no debug TD; must be false");
    refuse(policy.simulated_root_allowed, "simulated_root",
           "a sealed network admits Intel's root only; must be false");
    refuse(policy.tcb_accepted.contains(TcbStatus::revoked), "tcb_accepted",
           "a sealed network never accepts Revoked");
    refuse(policy.binding_min < Binding::ratls, "binding",
           "a sealed network asks for \"channel\" or \"ratls\"");
    refuse(policy.legacy_none_allowed, "legacy_none",
           "a sealed network takes no answer without a nonce in its quote; must be false");
    refuse(policy.allowlist_may_be_absent, "allowlist",
           "a sealed network needs the release's allowlist; allowlist.may_be_absent must be false");
    refuse(!registers_named || !policy.claims_required.contains("config_sha256"), "allowlist",
           "a sealed network's allowlists name mrtd, rtmr0, rtmr1 and rtmr2 in quote_measurements and "
           "config_sha256 in measurements, at least");
}

void Reader::add_warnings(const NetworkPolicy& policy) {
    if (!policy.stake_min_usd.empty() && !policy.stake_required)
        warn(policy.name, "stake_min_usd has no effect: stake_required is false");
    if (policy.tcb_accepted.contains(TcbStatus::revoked))
        warn(policy.name,
             "tcb_accepted holds Revoked: platforms whose keys may be known to others are admitted");
    if (!policy.legacy_cidrs.empty() && !policy.legacy_none_allowed && !policy.legacy_ratls &&
        policy.binding_min != Binding::ratls)
        warn(policy.name, "legacy_cidrs has no effect: no legacy answer is taken");
}

}  // namespace

NetworkPolicies PolicyFile::in_force(bool simulated_root_configured) const {
    const auto named = [&](std::string_view name) {
        return std::any_of(networks.begin(), networks.end(),
                           [&](const Network& network) { return network.policy.name == name; });
    };
    std::vector<NetworkPolicy> served;
    const NetworkPolicies built_in = NetworkPolicies::built_in(simulated_root_configured);
    for (const NetworkPolicy& policy : built_in.all())
        if (!named(policy.name)) served.push_back(policy);
    for (const Network& network : networks) {
        if (!network.served) continue;
        served.push_back(network.policy);
        served.back().simulated_root_allowed &= simulated_root_configured;
    }
    std::sort(served.begin(), served.end(),
              [](const NetworkPolicy& a, const NetworkPolicy& b) { return a.name < b.name; });
    return NetworkPolicies(std::move(served));
}

tl::expected<PolicyFile, PolicyProblems> parse_policies(std::string_view text, std::string_view file_name) {
    const auto refuse = [&](std::string sentence) {
        return tl::unexpected<PolicyProblems>(PolicyProblems{std::move(sentence)});
    };
    if (text.size() > policy_file_size_max)
        return refuse(
            fmt::format("{}: {} bytes, at most {} are read", file_name, text.size(), policy_file_size_max));
    const toml::parse_result parsed = toml::parse(text, file_name);
    if (!parsed) {
        const auto where = parsed.error().source().begin;
        return refuse(fmt::format("{}:{}:{}: not valid TOML: {}", file_name, where.line, where.column,
                                  parsed.error().description()));
    }
    Reader reader(file_name);
    reader.read(parsed.table());
    return std::move(reader).finish();
}

tl::expected<PolicyFile, PolicyProblems> read_policy_file(const std::filesystem::path& file) {
    const auto text = read_whole_file(file, policy_file_size_max);
    if (!text)
        return tl::unexpected<PolicyProblems>(PolicyProblems{file.string() + ": " + text.error().detail});
    return parse_policies(*text, file.string());
}

}  // namespace ee::attestation
