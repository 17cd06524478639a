#include "attestation/pck_extension.h"

#include <map>
#include <string>

#include <fmt/format.h>

#include "crypto/der.h"

namespace ee::attestation {
namespace {

using crypto::DerReader;
namespace der_tag = crypto::der_tag;

tl::unexpected<Error> invalid(std::string detail) {
    return fail("certificate_chain_invalid", "PCK extension: " + std::move(detail));
}

using Entries = std::map<std::string, DerReader, std::less<>>;

// A SEQUENCE OF SEQUENCE { OID, value }, by OID relative to `prefix`; each OID at most once.
Result<Entries> read_entries(DerReader list, std::string_view prefix) {
    Entries entries;
    while (!list.at_end()) {
        auto entry = list.take_sequence();
        auto oid = entry ? entry->take_oid() : std::nullopt;
        if (!oid) return invalid("an entry that is no pair of OID and value");
        if (!oid->starts_with(prefix)) return invalid(fmt::format("an entry {} outside {}", *oid, prefix));
        std::string name = oid->substr(prefix.size());
        if (!entries.emplace(name, *entry).second) return invalid(fmt::format("entry {} twice", name));
    }
    return entries;
}

// The value of a required entry, alone in it.
template <std::size_t N>
Result<void> read_octets(const Entries& entries, std::string_view name, ByteArray<N>& out) {
    const auto found = entries.find(name);
    if (found == entries.end()) return invalid(fmt::format("no entry {}", name));
    DerReader value = found->second;
    const auto octets = value.take(der_tag::octet_string);
    if (!octets || octets->size() != N || !value.at_end()) {
        return invalid(fmt::format("entry {} is not {} octets", name, N));
    }
    std::copy(octets->begin(), octets->end(), out.begin());
    return {};
}

Result<std::uint64_t> read_number(const Entries& entries, std::string_view name, std::uint8_t tag,
                                  std::uint64_t max) {
    const auto found = entries.find(name);
    if (found == entries.end()) return invalid(fmt::format("no entry {}", name));
    DerReader value = found->second;
    std::optional<std::uint64_t> number;
    if (tag == der_tag::enumerated) {
        const auto content = value.take(tag);
        if (content && content->size() == 1) number = (*content)[0];
    } else {
        number = value.take_unsigned();
    }
    if (!number || *number > max || !value.at_end()) {
        return invalid(fmt::format("entry {} is not a number up to {}", name, max));
    }
    return *number;
}

// Entry 2: sixteen component SVNs, the PCE's SVN, and CPUSVN, which is those sixteen again.
Result<void> read_tcb(const Entries& entries, PckExtension& out) {
    const auto found = entries.find("2");
    if (found == entries.end()) return invalid("no entry 2");
    DerReader value = found->second;
    const auto list = value.take_sequence();
    if (!list || !value.at_end()) return invalid("entry 2 is not a sequence");
    const auto tcb = read_entries(*list, fmt::format("{}.2.", pck_extension_oid));
    if (!tcb) return fail(tcb.error());
    if (auto read = read_octets(*tcb, "18", out.cpu_svn); !read) return read;
    for (std::size_t i = 0; i < out.cpu_svn.size(); ++i) {
        const auto svn = read_number(*tcb, std::to_string(i + 1), der_tag::integer, 255);
        if (!svn) return fail(svn.error());
        if (*svn != out.cpu_svn[i]) {
            return invalid(
                fmt::format("component {} has SVN {}, CPUSVN says {}", i + 1, *svn, out.cpu_svn[i]));
        }
    }
    const auto pce_svn = read_number(*tcb, "17", der_tag::integer, 0xffff);
    if (!pce_svn) return fail(pce_svn.error());
    out.pce_svn = static_cast<std::uint16_t>(*pce_svn);
    return {};
}

// Entry 7: flags, each optional, nothing else.
Result<void> read_configuration(const Entries& entries, PckExtension& out) {
    const auto found = entries.find("7");
    if (found == entries.end()) return {};
    DerReader value = found->second;
    const auto list = value.take_sequence();
    if (!list || !value.at_end()) return invalid("entry 7 is not a sequence");
    const auto flags = read_entries(*list, fmt::format("{}.7.", pck_extension_oid));
    if (!flags) return fail(flags.error());
    for (const auto& [name, content] : *flags) {
        DerReader reader = content;
        const auto octet = reader.take(der_tag::boolean);
        // DER has one spelling of true (X.690 section 11.1).
        const bool known = octet && octet->size() == 1 && ((*octet)[0] == 0 || (*octet)[0] == 0xff);
        if (!known || !reader.at_end()) return invalid(fmt::format("entry 7.{} is no flag", name));
        const bool flag = (*octet)[0] != 0;
        if (name == "1")
            out.dynamic_platform = flag;
        else if (name == "2")
            out.cached_keys = flag;
        else if (name == "3")
            out.smt_enabled = flag;
        else
            return invalid(fmt::format("an entry 7.{}, known are 7.1 to 7.3", name));
    }
    return {};
}

}  // namespace

Result<PckExtension> parse_pck_extension(ByteSpan der) {
    DerReader reader(der);
    const auto list = reader.take_sequence();
    if (!list || !reader.at_end()) return invalid("not one sequence");
    const auto entries = read_entries(*list, fmt::format("{}.", pck_extension_oid));
    if (!entries) return fail(entries.error());

    PckExtension out;
    if (auto read = read_octets(*entries, "1", out.ppid); !read) return fail(read.error());
    if (auto read = read_tcb(*entries, out); !read) return fail(read.error());
    if (auto read = read_octets(*entries, "3", out.pce_id); !read) return fail(read.error());
    if (auto read = read_octets(*entries, "4", out.fmspc); !read) return fail(read.error());
    const auto sgx_type = read_number(*entries, "5", der_tag::enumerated, 2);
    if (!sgx_type) return fail(sgx_type.error());
    out.sgx_type = static_cast<std::uint8_t>(*sgx_type);
    if (entries->contains("6")) {
        if (auto read = read_octets(*entries, "6", out.platform_instance_id.emplace()); !read) {
            return fail(read.error());
        }
    }
    if (auto read = read_configuration(*entries, out); !read) return fail(read.error());
    return out;
}

Result<PckExtension> pck_extension_of(const crypto::Certificate& leaf) {
    const auto der = leaf.extension(pck_extension_oid);
    if (!der) return invalid("the PCK certificate has none");
    return parse_pck_extension(*der);
}

}  // namespace ee::attestation
