#include "attestation/quote.h"

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;

const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(sys_days(2026y / 6 / 1));
    return made;
}

Bytes quote_of(QuoteFormat format, std::vector<std::pair<std::string_view, std::string_view>> fields = {}) {
    SimulatedQuoteRequest request;
    request.format = format;
    for (const auto& [name, value] : fields) {
        request.fields.push_back(parse_field_override(*find_quote_field(name), value).value());
    }
    return make_simulated_quote(platform(), request);
}

std::string code_of(ByteSpan bytes) {
    const auto quote = parse_quote(bytes);
    return quote ? "" : quote.error().code;
}

std::string hex_of(std::uint8_t byte, std::size_t count) {
    return to_hex(Bytes(count, byte));
}

TEST(QuoteParser, ReadsEveryFieldOfTheHeaderAndTheReport) {
    for (const QuoteFormat format : {QuoteFormat::v4, QuoteFormat::v5_td_1_0, QuoteFormat::v5_td_1_5}) {
        Bytes bytes = quote_of(format);
        const std::size_t body_at = format == QuoteFormat::v4 ? 48 : 54;
        // Every byte of the body tells its place.
        for (std::size_t i = 0; i < 584; ++i) bytes[body_at + i] = static_cast<std::uint8_t>(i / 8);
        for (std::size_t i = 28; i < 48; ++i) bytes[i] = static_cast<std::uint8_t>(i);
        const auto quote = parse_quote(bytes);
        ASSERT_TRUE(quote) << quote.error().detail;
        EXPECT_EQ(quote->header.version, format == QuoteFormat::v4 ? 4 : 5);
        EXPECT_EQ(quote->header.attestation_key_type, 2);
        EXPECT_EQ(quote->header.tee_type, 0x81u);
        EXPECT_EQ(quote->header.qe_vendor_id, qe_vendor_intel);
        EXPECT_EQ(quote->header.user_data[0], 28);
        EXPECT_EQ(quote->header.user_data[19], 47);
        const TdReport& body = quote->body;
        EXPECT_EQ(body.tee_tcb_svn[0], 0);
        EXPECT_EQ(body.mr_seam[0], 16 / 8);
        EXPECT_EQ(body.mr_signer_seam[0], 64 / 8);
        EXPECT_EQ(body.seam_attributes, 0x0e0e0e0e0e0e0e0e);
        EXPECT_EQ(body.td_attributes, 0x0f0f0f0f0f0f0f0f);
        EXPECT_EQ(body.xfam, 0x1010101010101010);
        EXPECT_EQ(body.mr_td[0], 136 / 8);
        EXPECT_EQ(body.mr_config_id[0], 184 / 8);
        EXPECT_EQ(body.mr_owner[0], 232 / 8);
        EXPECT_EQ(body.mr_owner_config[0], 280 / 8);
        EXPECT_EQ(body.rtmr[0][0], 328 / 8);
        EXPECT_EQ(body.rtmr[1][0], 376 / 8);
        EXPECT_EQ(body.rtmr[2][0], 424 / 8);
        EXPECT_EQ(body.rtmr[3][0], 472 / 8);
        EXPECT_EQ(body.report_data[0], 520 / 8);
        EXPECT_EQ(body.report_data[63], 583 / 8);
        EXPECT_TRUE(body.is_debug());
        EXPECT_EQ(body.mr_service_td.has_value(), format == QuoteFormat::v5_td_1_5);
        EXPECT_TRUE(body.extension.empty());
        EXPECT_EQ(to_hex(quote->signed_message), to_hex(ByteSpan(bytes).first(quote->signed_message.size())));
    }
}

TEST(QuoteParser, ReadsTheFieldsThatTd15Adds) {
    const auto quote = parse_quote(quote_of(
        QuoteFormat::v5_td_1_5, {{"tee_tcb_svn2", hex_of(0xa1, 16)}, {"mrservicetd", hex_of(0xa2, 48)}}));
    ASSERT_TRUE(quote) << quote.error().detail;
    EXPECT_EQ(quote->body_type, TdBodyType::td_1_5);
    EXPECT_EQ(to_hex(*quote->body.tee_tcb_svn2), hex_of(0xa1, 16));
    EXPECT_EQ(to_hex(*quote->body.mr_service_td), hex_of(0xa2, 48));
    EXPECT_EQ(quote->signed_message.size(), 48u + 6u + 648u);
}

TEST(QuoteParser, KeepsWhatTheExtendedReportAddsAsItIs) {
    Bytes bytes = quote_of(QuoteFormat::v5_td_1_5);
    bytes[48] = 4;
    bytes[50] = 885 & 0xff;
    bytes[51] = 885 >> 8;
    const Bytes extra(885 - 648, 0x5a);
    bytes.insert(bytes.begin() + 54 + 648, extra.begin(), extra.end());
    const auto quote = parse_quote(bytes);
    ASSERT_TRUE(quote) << quote.error().detail;
    EXPECT_EQ(quote->body_type, TdBodyType::td_1_5_extended);
    EXPECT_EQ(quote->body.extension, extra);
    EXPECT_EQ(quote->signed_message.size(), 54u + 885u);
}

TEST(QuoteParser, ReadsTheQeReportAndItsCertificates) {
    const auto quote = parse_quote(quote_of(QuoteFormat::v4));
    ASSERT_TRUE(quote) << quote.error().detail;
    EXPECT_EQ(quote->qe_auth_data.size(), 32u);
    EXPECT_EQ(quote->certification_type, 6);
    EXPECT_EQ(quote->pck_certification_type, 5);
    EXPECT_TRUE(quote->pck_chain.starts_with("-----BEGIN CERTIFICATE-----"));
    EXPECT_EQ(to_hex(quote->qe_report.cpu_svn), to_hex(ByteSpan(quote->qe_report_bytes).first(16)));
    EXPECT_EQ(to_hex(quote->qe_report.attributes), to_hex(ByteSpan(quote->qe_report_bytes).subspan(48, 16)));
    EXPECT_EQ(to_hex(quote->qe_report.mr_enclave), to_hex(ByteSpan(quote->qe_report_bytes).subspan(64, 32)));
    EXPECT_EQ(to_hex(quote->qe_report.mr_signer), to_hex(ByteSpan(quote->qe_report_bytes).subspan(128, 32)));
    EXPECT_EQ(to_hex(quote->qe_report.report_data), to_hex(ByteSpan(quote->qe_report_bytes).last(64)));
    EXPECT_EQ(quote->padding, 0u);
}

TEST(QuoteParser, RefusesEveryTruncation) {
    for (const QuoteFormat format : {QuoteFormat::v4, QuoteFormat::v5_td_1_5}) {
        const Bytes bytes = quote_of(format);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            EXPECT_EQ(code_of(ByteSpan(bytes).first(size)), "quote_malformed") << size;
        }
    }
}

TEST(QuoteParser, TakesOnlyZerosAfterTheQuote) {
    Bytes bytes = quote_of(QuoteFormat::v4);
    const std::size_t size = bytes.size();
    bytes.resize(size + 3065);
    const auto padded = parse_quote(bytes);
    ASSERT_TRUE(padded);
    EXPECT_EQ(padded->size, size);
    EXPECT_EQ(padded->padding, 3065u);
    bytes.back() = 1;
    EXPECT_EQ(code_of(bytes), "quote_malformed");
}

TEST(QuoteParser, TakesSixteenKibibytesAndNoMore) {
    Bytes bytes = quote_of(QuoteFormat::v4);
    bytes.resize(quote_size_max);
    EXPECT_EQ(code_of(bytes), "");
    bytes.push_back(0);
    EXPECT_EQ(code_of(bytes), "quote_malformed");
}

struct WrongField {
    QuoteFormat format;
    std::string_view field;
    std::string_view value;
    std::string_view code;
};

// A printer keeps the table readable in failures.
void PrintTo(const WrongField& row, std::ostream* out) {
    *out << row.field << "=" << row.value;
}

class QuoteParserRefuses : public testing::TestWithParam<WrongField> {};

TEST_P(QuoteParserRefuses, AWrongField) {
    const WrongField& row = GetParam();
    ASSERT_NE(find_quote_field(row.field), nullptr);
    EXPECT_EQ(code_of(quote_of(row.format, {{row.field, row.value}})), row.code);
}

constexpr auto v4 = QuoteFormat::v4;
constexpr auto v5 = QuoteFormat::v5_td_1_5;
INSTANTIATE_TEST_SUITE_P(
    Table, QuoteParserRefuses,
    testing::Values(WrongField{v4, "version", "3", "quote_unsupported"},
                    WrongField{v4, "version", "6", "quote_unsupported"},
                    WrongField{v4, "tee_type", "0", "quote_unsupported"},
                    WrongField{v5, "tee_type", "0x82", "quote_unsupported"},
                    WrongField{v5, "body_type", "1", "quote_unsupported"},
                    WrongField{v5, "body_type", "5", "quote_unsupported"},
                    WrongField{v5, "body_type", "2", "quote_unsupported"},
                    WrongField{v5, "body_type", "4", "quote_unsupported"},
                    WrongField{v5, "body_size", "647", "quote_unsupported"},
                    WrongField{v5, "body_size", "0xffffffff", "quote_unsupported"},
                    WrongField{v4, "signature_data_length", "0", "quote_malformed"},
                    WrongField{v4, "signature_data_length", "600", "quote_malformed"},
                    WrongField{v4, "signature_data_length", "0xffffffff", "quote_malformed"},
                    WrongField{v4, "certification_type", "5", "quote_unsupported"},
                    WrongField{v4, "certification_length", "0", "quote_malformed"},
                    WrongField{v4, "certification_length", "0xffffffff", "quote_malformed"},
                    WrongField{v4, "qe_auth_length", "0xffff", "quote_malformed"},
                    WrongField{v4, "pck_type", "1", "quote_unsupported"},
                    WrongField{v4, "pck_type", "4", "quote_unsupported"},
                    WrongField{v4, "pck_type", "6", "quote_unsupported"},
                    WrongField{v4, "pck_length", "0", "quote_malformed"},
                    WrongField{v5, "pck_length", "0xffffffff", "quote_malformed"}));

// A type that is not known has no size, and an empty body would agree with that.
TEST(QuoteParser, RefusesAnUnknownBodyTypeThatIsEmpty) {
    for (const char* type : {"0", "1", "5", "0xffff"}) {
        EXPECT_EQ(code_of(quote_of(v5, {{"body_type", type}, {"body_size", "0"}})), "quote_unsupported")
            << type;
    }
}

TEST(QuoteParser, LeavesVendorAndKeyTypeToTheSignatureThatCoversThem) {
    EXPECT_EQ(code_of(quote_of(v4, {{"qe_vendor_id", hex_of(0x11, 16)}})), "");
    EXPECT_EQ(code_of(quote_of(v4, {{"attestation_key_type", "3"}})), "");
}

TEST(QuoteParser, CallsAForeignKeyTypeForeignWhenItsLayoutDoesNotFit) {
    EXPECT_EQ(code_of(quote_of(v4, {{"attestation_key_type", "3"}, {"certification_length", "0"}})),
              "quote_unsupported");
}

}  // namespace
}  // namespace ee::attestation
