#include "attestation/quote.h"

#include <fmt/format.h>

namespace ee::attestation {
namespace {

constexpr std::size_t td_1_0_size = 584;
constexpr std::size_t td_1_5_size = 648;
constexpr std::size_t td_1_5_extended_size = 885;
constexpr std::size_t qe_report_size = 384;

tl::unexpected<Error> malformed(std::string detail) {
    return fail("quote_malformed", std::move(detail));
}
tl::unexpected<Error> unsupported(std::string detail) {
    return fail("quote_unsupported", std::move(detail));
}

tl::unexpected<Error> too_short(std::string_view part, std::size_t size, std::size_t left) {
    return malformed(fmt::format("{} takes {} bytes, {} are left", part, size, left));
}

// Slices of a part whose whole size has been checked already: a take cannot fail.
class FixedReader {
public:
    explicit FixedReader(ByteSpan bytes) : reader_(bytes) {}

    template <std::size_t N>
    void take(ByteArray<N>& out) {
        out = reader_.take_array<N>().value();
    }
    void take(std::uint16_t& out) { out = reader_.take_u16().value(); }
    void take(std::uint32_t& out) { out = reader_.take_u32().value(); }
    void take(std::uint64_t& out) { out = reader_.take_u64().value(); }
    void skip(std::size_t count) { static_cast<void>(reader_.take(count).value()); }
    ByteSpan rest() { return reader_.take(reader_.remaining()).value(); }

private:
    ByteReader reader_;
};

QuoteHeader read_header(ByteSpan bytes) {
    FixedReader reader(bytes);
    QuoteHeader header;
    reader.take(header.version);
    reader.take(header.attestation_key_type);
    reader.take(header.tee_type);
    reader.take(header.qe_svn);
    reader.take(header.pce_svn);
    reader.take(header.qe_vendor_id);
    reader.take(header.user_data);
    return header;
}

TdReport read_td_report(ByteSpan bytes, TdBodyType type) {
    FixedReader reader(bytes);
    TdReport report;
    reader.take(report.tee_tcb_svn);
    reader.take(report.mr_seam);
    reader.take(report.mr_signer_seam);
    reader.take(report.seam_attributes);
    reader.take(report.td_attributes);
    reader.take(report.xfam);
    reader.take(report.mr_td);
    reader.take(report.mr_config_id);
    reader.take(report.mr_owner);
    reader.take(report.mr_owner_config);
    for (Measurement& rtmr : report.rtmr) reader.take(rtmr);
    reader.take(report.report_data);
    if (type != TdBodyType::td_1_0) {
        reader.take(report.tee_tcb_svn2.emplace());
        reader.take(report.mr_service_td.emplace());
    }
    report.extension = to_bytes(reader.rest());
    return report;
}

// REPORT of an SGX enclave (Intel SDM volume 3D, "REPORT structure").
QeReport read_qe_report(ByteSpan bytes) {
    FixedReader reader(bytes);
    QeReport report;
    reader.take(report.cpu_svn);
    reader.take(report.misc_select);
    reader.skip(28);
    reader.take(report.attributes);
    reader.take(report.mr_enclave);
    reader.skip(32);
    reader.take(report.mr_signer);
    reader.skip(96);
    reader.take(report.isv_prod_id);
    reader.take(report.isv_svn);
    reader.skip(60);
    reader.take(report.report_data);
    return report;
}

// Header, descriptor of version 5, body. Leaves `reader` behind the body.
Result<void> read_signed_part(ByteSpan bytes, ByteReader& reader, Quote& quote) {
    const auto header = reader.take(48);
    if (!header) return too_short("the header", 48, reader.remaining());
    quote.header = read_header(*header);
    if (quote.header.version != 4 && quote.header.version != 5) {
        return unsupported(fmt::format("quote version {}, known are 4 and 5", quote.header.version));
    }
    if (quote.header.tee_type != tee_type_tdx) {
        return unsupported(
            fmt::format("TEE type {:#x}, known is {:#x}", quote.header.tee_type, tee_type_tdx));
    }
    if (quote.header.version == 5) {
        const auto type = reader.take_u16();
        const auto size = type ? reader.take_u32() : std::nullopt;
        if (!size) return too_short("the body descriptor", 6, reader.remaining());
        if (*type < 2 || *type > 4) return unsupported(fmt::format("body type {}, known are 2 to 4", *type));
        quote.body_type = static_cast<TdBodyType>(*type);
        if (*size != td_body_size(quote.body_type)) {
            return unsupported(fmt::format("body type {} says {} bytes, it has {}", *type, *size,
                                           td_body_size(quote.body_type)));
        }
    }
    const std::size_t body_size = td_body_size(quote.body_type);
    const auto body = reader.take(body_size);
    if (!body) return too_short("the body", body_size, reader.remaining());
    quote.body = read_td_report(*body, quote.body_type);
    quote.signed_message = to_bytes(bytes.first(reader.offset()));
    return {};
}

// What certification data of type 6 holds, to its last byte.
Result<void> read_qe_certification(ByteSpan bytes, Quote& quote) {
    ByteReader reader(bytes);
    const auto report = reader.take_array<qe_report_size>();
    const auto signature = report ? reader.take_array<64>() : std::nullopt;
    if (!signature)
        return too_short("the QE report and its signature", qe_report_size + 64, reader.remaining());
    quote.qe_report_bytes = *report;
    quote.qe_report = read_qe_report(*report);
    quote.qe_report_signature = *signature;

    const auto auth_size = reader.take_u16();
    const auto auth = auth_size ? reader.take(*auth_size) : std::nullopt;
    if (!auth) return too_short("the QE's authentication data", auth_size.value_or(2), reader.remaining());
    quote.qe_auth_data = to_bytes(*auth);

    const auto type = reader.take_u16();
    const auto size = type ? reader.take_u32() : std::nullopt;
    if (!size) return too_short("the certification data's header", 6, reader.remaining());
    if (*type != certification_type_pck_chain) {
        return unsupported(fmt::format("inner certification data of type {}, known is 5", *type));
    }
    quote.pck_certification_type = *type;
    if (*size != reader.remaining()) {
        return malformed(fmt::format("the PCK chain says {} bytes, {} are left", *size, reader.remaining()));
    }
    quote.pck_chain = as_text(reader.take(*size).value());
    return {};
}

// Signature, key and certification data, to the last byte.
Result<void> read_signature_data(ByteSpan bytes, Quote& quote) {
    ByteReader reader(bytes);
    const auto signature = reader.take_array<64>();
    const auto key = signature ? reader.take_array<64>() : std::nullopt;
    if (!key) return too_short("the signature and its key", 128, reader.remaining());
    quote.signature = *signature;
    quote.attestation_key = *key;
    const auto type = reader.take_u16();
    const auto size = type ? reader.take_u32() : std::nullopt;
    if (!size) return too_short("the certification data's header", 6, reader.remaining());
    if (*type != certification_type_qe_report) {
        return unsupported(fmt::format("outer certification data of type {}, known is 6", *type));
    }
    quote.certification_type = *type;
    if (*size != reader.remaining()) {
        return malformed(
            fmt::format("the certification data says {} bytes, {} are left", *size, reader.remaining()));
    }
    return read_qe_certification(reader.take(*size).value(), quote);
}

// Everything behind the signed part.
Result<void> read_unsigned_part(ByteReader& reader, Quote& quote) {
    const auto size = reader.take_u32();
    if (!size) return too_short("the signature data's length", 4, reader.remaining());
    const auto data = reader.take(*size);
    if (!data) return too_short("the signature data", *size, reader.remaining());
    if (auto read = read_signature_data(*data, quote); !read) return read;
    quote.size = reader.offset();
    quote.padding = reader.remaining();
    // Genuine quotes come in fixed-size buffers, so zeros may follow. Anything else is not part of what was
    // signed and has no business here.
    if (!all_zero(reader.take(quote.padding).value())) {
        return malformed(fmt::format("non-zero bytes among the {} after the quote", quote.padding));
    }
    return {};
}

}  // namespace

std::string_view to_string(TdBodyType type) {
    switch (type) {
        case TdBodyType::td_1_0: return "TD 1.0";
        case TdBodyType::td_1_5: return "TD 1.5";
        case TdBodyType::td_1_5_extended: return "TD 1.5 extended";
    }
    return "unknown";
}

std::size_t td_body_size(TdBodyType type) {
    switch (type) {
        case TdBodyType::td_1_0: return td_1_0_size;
        case TdBodyType::td_1_5: return td_1_5_size;
        case TdBodyType::td_1_5_extended: return td_1_5_extended_size;
    }
    return 0;
}

Result<Quote> parse_quote(ByteSpan bytes) {
    if (bytes.size() > quote_size_max) {
        return malformed(fmt::format("{} bytes, at most {} are taken", bytes.size(), quote_size_max));
    }
    Quote quote;
    ByteReader reader(bytes);
    if (auto read = read_signed_part(bytes, reader, quote); !read) return fail(std::move(read.error()));
    if (auto read = read_unsigned_part(reader, quote); !read) {
        // Other attestation keys have signatures of other sizes: what does not fit our layout is then not
        // broken but foreign.
        const std::uint16_t key_type = quote.header.attestation_key_type;
        if (key_type == attestation_key_type_p256) return fail(std::move(read.error()));
        return unsupported(fmt::format("attestation key type {}, known is 2", key_type));
    }
    return quote;
}

}  // namespace ee::attestation
