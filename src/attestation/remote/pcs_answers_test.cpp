#include "attestation/remote/pcs_answers.h"

#include <gtest/gtest.h>

#include "attestation/collateral.h"

namespace ee::attestation {
namespace {

TEST(PcsAnswers, AnIssuerChainIsPercentDecoded) {
    EXPECT_EQ(decode_issuer_chain("-----BEGIN%20CERTIFICATE-----%0AMII%2BaA%3D%3D%0A"),
              "-----BEGIN CERTIFICATE-----\nMII+aA==\n");
    EXPECT_EQ(decode_issuer_chain("a+b"), "a+b");
}

TEST(PcsAnswers, AnIssuerChainThatIsNoneIsRefused) {
    for (const std::string& field :
         {std::string(), std::string("%"), std::string("a%2"), std::string("%zz"), std::string("%+1"),
          std::string(64 * 1024 + 1, 'a'), std::string(3 * 64 * 1024 + 1, '%')}) {
        const auto chain = decode_issuer_chain(field);
        ASSERT_FALSE(chain) << field.substr(0, 10);
        EXPECT_EQ(chain.error().code, "collateral_malformed");
    }
    EXPECT_TRUE(decode_issuer_chain(std::string(64 * 1024, 'a')));
}

TEST(PcsAnswers, TheSignedObjectIsCutOutAsItStands) {
    const struct {
        const char* body;
        const char* text;
    } rows[] = {
        {R"({"tcbInfo":{"id":"TDX","a":[{"b":"}\"{"}]},"signature":"0aFF"})",
         R"({"id":"TDX","a":[{"b":"}\"{"}]})"},
        {"{ \"signature\" : \"0aff\" ,\n \"tcbInfo\" :\t{ \"id\" : \"T\\u0044X\" ,\r\n\"x\":1.50 } \n }",
         "{ \"id\" : \"T\\u0044X\" ,\r\n\"x\":1.50 }"},
        {R"({"tcbInfo":{"z":1,"a":2,"a":3},"other":{"tcbInfo":{}},"signature":"0aff"})",
         R"({"z":1,"a":2,"a":3})"},
    };
    for (const auto& row : rows) {
        const auto cut = cut_signed_object(row.body, "tcbInfo", 100);
        ASSERT_TRUE(cut) << cut.error().detail;
        EXPECT_EQ(cut->text, row.text);
        EXPECT_EQ(cut->signature, (Bytes{0x0a, 0xff}));
    }
}

TEST(PcsAnswers, ABodyWithoutASignedObjectIsRefused) {
    std::string deep = R"({"signature":"0a","tcbInfo":{"a":)";
    for (int i = 0; i < 40; ++i) deep += '[';
    for (int i = 0; i < 40; ++i) deep += ']';
    for (const std::string& body :
         {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
          std::string(R"({"tcbInfo":{}})"), std::string(R"({"tcbInfo":[],"signature":"0a"})"),
          std::string(R"({"tcbInfo":"{}","signature":"0a"})"),
          std::string(R"({"tcbInfo":{},"signature":""})"), std::string(R"({"tcbInfo":{},"signature":"0"})"),
          std::string(R"({"tcbInfo":{},"signature":1})"), std::string(R"({"tcbInfo":{},"signature":"0a"} x)"),
          std::string(R"({"tcbInfo":{"a":tru},"signature":"0a"})"),
          std::string(R"({"tcbInfo":{"a":"12345678901234567890"},"signature":"0a"})"),
          std::string(R"({"enclaveIdentity":{},"signature":"0a"})"), deep + "}}"}) {
        const auto cut = cut_signed_object(body, "tcbInfo", 20);
        ASSERT_FALSE(cut) << body;
        EXPECT_EQ(cut.error().code, "collateral_malformed") << body;
    }
}

TEST(PcsAnswers, ACrlIsDerOrHexadecimal) {
    const Bytes der = {0x30, 0x03, 0x02, 0x01, 0x05};
    EXPECT_EQ(decode_crl("\x30\x03\x02\x01\x05"), der);
    EXPECT_EQ(decode_crl("3003020105"), der);
    EXPECT_EQ(decode_crl(" 30030201 05\n").has_value(), false);
    EXPECT_EQ(decode_crl("\n3003020105\r\n"), der);
    for (const std::string& body :
         {std::string(), std::string("<html>"), std::string("0203"), std::string("-----BEGIN X509 CRL-----"),
          "\x30" + std::string(crl_size_max, 'x')})
        EXPECT_EQ(decode_crl(body).error().code, "collateral_malformed") << body.substr(0, 10);
}

}  // namespace
}  // namespace ee::attestation
