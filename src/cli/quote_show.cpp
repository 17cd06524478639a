#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "attestation/pck_extension.h"
#include "attestation/quote.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "cli/quote_commands.h"
#include "cli/quote_file.h"
#include "crypto/certificate.h"

namespace ee::cli {
namespace {

using attestation::Quote;

struct Row {
    std::string name;
    std::string value;
    bool is_number = false;
};

struct Section {
    std::string name;
    std::vector<Row> rows;
};

template <class T>
Row number(std::string name, T value) {
    return {std::move(name), std::to_string(value), true};
}

Row hex(std::string name, ByteSpan bytes) {
    return {std::move(name), to_hex(bytes), false};
}

Row text(std::string name, std::string value) {
    return {std::move(name), std::move(value), false};
}

// Intel TDX module base architecture specification, "TD_ATTRIBUTES".
std::string td_attribute_names(std::uint64_t attributes) {
    static constexpr std::pair<int, const char*> names[] = {
        {0, "DEBUG"}, {4, "HGS_PLUS_PROF"},    {5, "PERF_PROF"},   {6, "PMT_PROF"}, {16, "ICSSD"},
        {27, "LASS"}, {28, "SEPT_VE_DISABLE"}, {29, "MIGRATABLE"}, {30, "PKS"},     {31, "KL"},
        {62, "TPA"},  {63, "PERFMON"}};
    std::string out;
    for (int bit = 0; bit < 64; ++bit) {
        if ((attributes >> bit & 1) == 0) continue;
        std::string name = "reserved bit " + std::to_string(bit);
        for (const auto& [known, known_name] : names) {
            if (known == bit) name = known_name;
        }
        out += (out.empty() ? "" : ", ") + name;
    }
    return out;
}

Section header_section(const Quote& quote) {
    const auto& header = quote.header;
    return {"header",
            {number("version", header.version), number("attestation_key_type", header.attestation_key_type),
             text("tee_type", fmt::format("0x{:x}", header.tee_type)), number("qe_svn", header.qe_svn),
             number("pce_svn", header.pce_svn), hex("qe_vendor_id", header.qe_vendor_id),
             hex("user_data", header.user_data), text("body_type", std::string(to_string(quote.body_type)))}};
}

Section body_section(const Quote& quote) {
    const auto& body = quote.body;
    Section section{"body",
                    {hex("tee_tcb_svn", body.tee_tcb_svn), hex("mr_seam", body.mr_seam),
                     hex("mrsigner_seam", body.mr_signer_seam),
                     text("seam_attributes", fmt::format("0x{:016x}", body.seam_attributes)),
                     text("td_attributes", fmt::format("0x{:016x}", body.td_attributes)),
                     text("td_attribute_names", td_attribute_names(body.td_attributes)),
                     text("xfam", fmt::format("0x{:016x}", body.xfam)), hex("mrtd", body.mr_td),
                     hex("mrconfigid", body.mr_config_id), hex("mrowner", body.mr_owner),
                     hex("mrownerconfig", body.mr_owner_config)}};
    for (std::size_t i = 0; i < body.rtmr.size(); ++i) {
        section.rows.push_back(hex("rtmr" + std::to_string(i), body.rtmr[i]));
    }
    section.rows.push_back(hex("report_data", body.report_data));
    if (body.tee_tcb_svn2) section.rows.push_back(hex("tee_tcb_svn2", *body.tee_tcb_svn2));
    if (body.mr_service_td) section.rows.push_back(hex("mrservicetd", *body.mr_service_td));
    if (!body.extension.empty()) section.rows.push_back(hex("extension", body.extension));
    return section;
}

Section signature_section(const Quote& quote) {
    return {"signature",
            {hex("signature", quote.signature), hex("attestation_key", quote.attestation_key),
             number("certification_type", quote.certification_type),
             hex("qe_report_signature", quote.qe_report_signature), hex("qe_auth_data", quote.qe_auth_data),
             number("pck_certification_type", quote.pck_certification_type), number("size", quote.size),
             number("padding", quote.padding)}};
}

Section qe_report_section(const Quote& quote) {
    const auto& report = quote.qe_report;
    return {"qe_report",
            {hex("cpusvn", report.cpu_svn), text("miscselect", fmt::format("0x{:08x}", report.misc_select)),
             hex("attributes", report.attributes), hex("mrenclave", report.mr_enclave),
             hex("mrsigner", report.mr_signer), number("isvprodid", report.isv_prod_id),
             number("isvsvn", report.isv_svn), hex("report_data", report.report_data)}};
}

Section certificate_section(const crypto::Certificate& certificate) {
    Section section{"certificate",
                    {text("subject", certificate.subject_text()), hex("serial", certificate.serial()),
                     text("not_before", to_rfc3339(certificate.not_before())),
                     text("not_after", to_rfc3339(certificate.not_after())),
                     hex("spki_sha256", certificate.spki_sha256())}};
    if (!certificate.extension(attestation::pck_extension_oid)) return section;
    const auto pck = attestation::pck_extension_of(certificate);
    if (!pck) {
        section.rows.push_back(text("pck_extension", pck.error().detail));
        return section;
    }
    section.rows.push_back(hex("fmspc", pck->fmspc));
    section.rows.push_back(hex("pce_id", pck->pce_id));
    section.rows.push_back(number("pce_svn", pck->pce_svn));
    section.rows.push_back(hex("cpusvn", pck->cpu_svn));
    section.rows.push_back(hex("ppid", pck->ppid));
    section.rows.push_back(number("sgx_type", unsigned{pck->sgx_type}));
    if (pck->platform_instance_id) {
        section.rows.push_back(hex("platform_instance_id", *pck->platform_instance_id));
    }
    return section;
}

void write_rows(JsonWriter& json, const Section& section) {
    json.begin_object();
    for (const Row& row : section.rows) {
        json.key(row.name);
        row.is_number ? json.raw(row.value) : json.value(row.value);
    }
    json.end_object();
}

void print_rows(std::ostream& out, const Section& section) {
    out << section.name << '\n';
    for (const Row& row : section.rows) {
        out << fmt::format("  {:<24}{}\n", row.name, row.value.empty() ? "(none)" : row.value);
    }
}

}  // namespace

int run_quote_show(const QuoteShowOptions& options, Context& context) {
    const auto bytes = read_quote_file(options.file, context.err);
    if (!bytes) {
        context.err << "eectl: " << bytes.error().detail << '\n';
        return exit_usage;
    }
    const auto quote = attestation::parse_quote(*bytes);
    if (!quote) {
        context.err << "eectl: " << quote.error().code << ": " << quote.error().detail << '\n';
        return exit_refused;
    }
    const Section sections[] = {header_section(*quote), body_section(*quote), signature_section(*quote),
                                qe_report_section(*quote)};
    const auto chain = crypto::parse_pem_chain(quote->pck_chain);
    if (!options.json) {
        for (const Section& section : sections) print_rows(context.out, section);
        if (!chain) context.out << "certificates: " << chain.error().detail << '\n';
        if (chain) {
            for (const crypto::Certificate& certificate : *chain)
                print_rows(context.out, certificate_section(certificate));
        }
        return exit_good;
    }
    std::string text;
    JsonWriter json(text);
    json.begin_object();
    for (const Section& section : sections) {
        json.key(section.name);
        write_rows(json, section);
    }
    json.key("certificates").begin_array();
    if (chain) {
        for (const crypto::Certificate& certificate : *chain)
            write_rows(json, certificate_section(certificate));
    }
    json.end_array();
    if (!chain) json.field("certificates_error", chain.error().detail);
    json.end_object();
    context.out << text << '\n';
    return exit_good;
}

}  // namespace ee::cli
