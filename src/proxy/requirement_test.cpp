#include "proxy/requirement.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "crypto/digest.h"

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime start{1000h};
const std::string digits(96, 'a');

std::string met(std::string_view canonical) {
    return ":" + to_base64(crypto::sha256(as_bytes(canonical))) + ":";
}

TEST(Requirement, ReadsEveryKey) {
    const auto read = parse_requirement(
        "sealed, tcb=(UpToDate  SWHardeningNeeded),max-age=300, release=\"v0.1.3\", mrtd=\"" + digits +
        "\", rtmr3=\"" + std::string(96, 'B') + "\"");
    ASSERT_TRUE(read) << read.error().detail;
    EXPECT_TRUE(read->sealed);
    EXPECT_EQ(read->tcb, (std::vector<std::string>{"UpToDate", "SWHardeningNeeded"}));
    EXPECT_EQ(read->age_max, 300s);
    EXPECT_EQ(read->release, "v0.1.3");
    ASSERT_TRUE(read->measured[0] && read->measured[4]);
    EXPECT_EQ((*read->measured[0])[47], 0xaa);
    EXPECT_EQ((*read->measured[4])[0], 0xbb);
    EXPECT_FALSE(read->measured[1] || read->measured[2] || read->measured[3]);
    EXPECT_EQ(read->met,
              met("sealed, tcb=(UpToDate SWHardeningNeeded), max-age=300, release=\"v0.1.3\", mrtd=\"" +
                  digits + "\", rtmr3=\"" + std::string(96, 'B') + "\""));
}

TEST(Requirement, IsNamedByItsCanonicalSpelling) {
    EXPECT_EQ(parse_requirement(" max-age=007 ,sealed=?1")->met, met("max-age=7, sealed"));
    EXPECT_NE(parse_requirement("sealed, max-age=7")->met, met("max-age=7, sealed"));
}

TEST(Requirement, RefusesWhatItDoesNotFullyUnderstand) {
    const struct {
        std::string text;
        const char* detail;  // A part of it.
    } rows[] = {
        {"", "asks for nothing"},
        {"sealed,", "ends in a comma"},
        {"sealed, sealed", "\"sealed\" comes twice"},
        {"Sealed", "a key begins with"},
        {"seald", "\"seald\" is no key"},
        {"rtmr4=\"" + digits + "\"", "\"rtmr4\" is no key"},
        {"sealed=?0", "sealed is true or absent"},
        {"sealed=1", "sealed is true or absent"},
        {"sealed;q=1", "sealed is true or absent"},
        {"sealed=(?1)", "sealed is true or absent"},
        {"tcb", "tcb is a list"},
        {"tcb=UpToDate", "tcb is a list"},
        {"tcb=()", "tcb is a list"},
        {"tcb=(\"UpToDate\")", "tcb is a list"},
        {"tcb=(UpToDate;q=1)", "tcb is a list"},
        {"tcb=(UpToDate);q", "tcb is a list"},
        {"max-age", "max-age is a whole number"},
        {"max-age=-1", "max-age is a whole number"},
        {"max-age=1.0", "max-age is a whole number"},
        {"max-age=\"300\"", "max-age is a whole number"},
        {"release=v0", "release is a string"},
        {"release", "release is a string"},
        {"mrtd=\"" + digits.substr(1) + "\"", "mrtd is a string of 96"},
        {"mrtd=\"" + digits + "00\"", "mrtd is a string of 96"},
        {"rtmr1=\"" + digits.substr(1) + "g\"", "rtmr1 is a string of 96"},
        {"rtmr2=:AAAA:", "rtmr2 is a string of 96"},
        {"rtmr0=" + digits, "rtmr0 is a string of 96"},
        {"release=\"" + std::string(requirement_bytes_max, 'v') + "\"", "at most 4096"},
    };
    for (const auto& row : rows) {
        const auto read = parse_requirement(row.text);
        ASSERT_FALSE(read) << row.text;
        EXPECT_EQ(read.error().code, "invalid_requirement") << row.text;
        EXPECT_NE(read.error().detail.find(row.detail), std::string::npos) << row.text << read.error().detail;
    }
}

TEST(Requirement, AllLinesOfTheFieldAreOneRequirement) {
    const http::Field none[] = {{"Accept", "*/*"}};
    EXPECT_EQ(requirement_of(none).value(), std::nullopt);
    const http::Field lines[] = {{"EE-Require", "sealed"}, {"Accept", "*/*"}, {"ee-require", "max-age=9"}};
    const auto read = requirement_of(lines);
    ASSERT_TRUE(read && *read);
    EXPECT_TRUE((*read)->sealed);
    EXPECT_EQ((*read)->age_max, 9s);
    EXPECT_EQ((*read)->met, met("sealed, max-age=9"));
    const http::Field twice[] = {{"EE-Require", "sealed"}, {"EE-Require", "sealed"}};
    EXPECT_EQ(requirement_of(twice).error().code, "invalid_requirement");
    for (const char* empty_at : {"first", "second"}) {
        const bool first = std::string_view(empty_at) == "first";
        const http::Field fields[] = {{"EE-Require", first ? "" : "sealed"},
                                      {"EE-Require", first ? "sealed" : ""}};
        EXPECT_EQ(requirement_of(fields).error().code, "invalid_requirement") << empty_at;
    }
}

registry::Agent proven_agent() {
    registry::Agent agent;
    agent.agent_id = "a1";
    agent.release_tag = "v0.1.3";
    agent.verdict.binding = "nonce";
    agent.verdict.sealed = true;
    agent.verdict.tcb_status = "UpToDate";
    agent.verdict.answered_at = {start, WallTime{}};
    agent.verdict.measured = Bytes(registry::measured_bytes, 0xaa);
    return agent;
}

TEST(Requirement, AgentsMeetWhatTheyHaveProven) {
    const struct {
        const char* met;
        const char* unmet;  // The same key, of something else.
    } rows[] = {
        {"tcb=(UpToDate Revoked)", "tcb=(OutOfDate uptodate)"},
        {"release=\"v0.1.3\"", "release=\"v0.1\""},
        {"max-age=60", "max-age=59"},
    };
    const registry::Agent agent = proven_agent();
    const MonoTime now = start + 60s;
    for (const auto& row : rows) {
        EXPECT_TRUE(unmet(*parse_requirement(row.met), agent, now, now).none()) << row.met;
        EXPECT_FALSE(unmet(*parse_requirement(row.unmet), agent, now, now).none()) << row.unmet;
    }
    EXPECT_TRUE(unmet(*parse_requirement("sealed"), agent, now, now).none());
    registry::Agent open = agent;
    open.verdict.sealed = false;
    EXPECT_TRUE(unmet(*parse_requirement("sealed"), open, now, now).has(RequirementKey::sealed));
}

TEST(Requirement, EachMeasurementIsComparedWithItsOwn) {
    const registry::Agent agent = proven_agent();
    const char* const names[] = {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};
    for (std::size_t i = 0; i < 5; ++i) {
        const auto requirement = *parse_requirement(std::string(names[i]) + "=\"" + digits + "\"");
        const auto key = static_cast<RequirementKey>(static_cast<std::size_t>(RequirementKey::mrtd) + i);
        EXPECT_EQ(to_word(key), names[i]);
        EXPECT_TRUE(unmet(requirement, agent, start, start).none());
        registry::Agent other = agent;
        other.verdict.measured[i * 48 + 47] ^= 1;
        EXPECT_TRUE(unmet(requirement, other, start, start).has(key)) << names[i];
    }
}

TEST(Requirement, AnAnswerThatIsNotBoundMeetsNothing) {
    registry::Agent agent = proven_agent();
    const std::string texts[] = {"sealed", "tcb=(UpToDate)", "max-age=300", "release=\"v0.1.3\"",
                                 "mrtd=\"" + digits + "\""};
    for (const std::string& text : texts)
        EXPECT_TRUE(unmet(*parse_requirement(text), agent, start, start).none());
    agent.verdict.binding = "none";
    for (const std::string& text : texts) {
        const Unmet keys = unmet(*parse_requirement(text), agent, start, start);
        EXPECT_FALSE(keys.none()) << text;
        EXPECT_FALSE(keys.is_age_alone()) << text << ": to attest again would mend nothing";
    }
    agent = proven_agent();
    agent.verdict.measured.clear();
    EXPECT_FALSE(unmet(*parse_requirement(texts[4]), agent, start, start).none());
}

TEST(Requirement, EvidenceThatCameAfterTheQuestionIsYoungEnough) {
    const auto requirement = *parse_requirement("max-age=0");
    const registry::Agent agent = proven_agent();
    EXPECT_TRUE(unmet(requirement, agent, start + 5s, start).none());
    const Unmet keys = unmet(requirement, agent, start + 5s, start + 1ms);
    EXPECT_TRUE(keys.is_age_alone());
    const auto more = *parse_requirement("max-age=0, release=\"v9\"");
    EXPECT_FALSE(unmet(more, agent, start + 5s, start + 1ms).is_age_alone());
}

TEST(Requirement, TheProblemSaysWhatWasAvailable) {
    const auto requirement = *parse_requirement("release=\"v9\", max-age=5");
    registry::Agent agent = proven_agent();
    agent.verdict.shown =
        std::make_shared<registry::ShownVerdict>(registry::ShownVerdict{.agent = "0123abcd"});
    Offers offers(requirement, {start + 60s, WallTime{}}, start + 60s);
    offers.add(agent);
    EXPECT_EQ(offers.problem_body({"requirement_unmet", "why"}),
              R"({"type":"about:blank","title":"Precondition Failed","status":412,"detail":"why",)"
              R"("reason":"requirement_unmet","error":"requirement_unmet","eligible_agents":1,"available":[)"
              R"({"agent":"0123abcd","release":"v0.1.3","bound":true,"sealed":true,"tcb_status":"UpToDate",)"
              R"("attested_at":"1970-01-01T00:00:00Z","age_s":60,"unmet":["max-age","release"]}]})");
    for (int i = 0; i < 100; ++i) offers.add(agent);
    const std::string many = offers.problem_body({"requirement_unmet", "why"});
    EXPECT_NE(many.find("\"eligible_agents\":101"), std::string::npos);
    EXPECT_LT(many.size(), 4096u);
}

}  // namespace
}  // namespace ee::proxy
