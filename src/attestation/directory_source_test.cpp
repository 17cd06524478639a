#include "attestation/directory_source.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "attestation/trust_anchor.h"

namespace ee::attestation {
namespace {

namespace fs = std::filesystem;
using std::chrono::sys_days;
using namespace std::chrono_literals;

const WallTime at = sys_days(2026y / 6 / 1);

struct Directory : testing::Test {
    fs::path folder;

    Directory() {
        std::string name = (fs::temp_directory_path() / "ee-directory-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~Directory() override { fs::remove_all(folder); }

    void write(const fs::path& name, std::string_view content) {
        fs::create_directories((folder / name).parent_path());
        std::ofstream(folder / name, std::ios::binary) << content;
    }
};

struct CollateralDirectory : Directory {
    SimulatedPlatform platform = make_simulated_platform(at);
    std::vector<std::string> skipped;
    std::unique_ptr<CollateralSource> source =
        make_collateral_directory(folder, [this](const fs::path& file, const Error& why) {
            skipped.push_back(file.filename().string() + " " + why.code);
        });

    std::string file(WallTime issued, const SimulatedFaults& faults = {}) {
        return make_simulated_collateral(platform, issued, faults);
    }
    CollateralKey key() { return read_collateral_label(parse_collateral(file(at)).value()).value().key; }
    std::string found_issue_date() {
        const auto found = source->find(key(), at);
        return found ? to_rfc3339(read_collateral_label(**found)->issued_at) : found.error().code;
    }
};

TEST_F(CollateralDirectory, AnswersWithTheNewestFileForThePlatform) {
    EXPECT_EQ(found_issue_date(), "collateral_unavailable");
    write("old.json", file(at - 24h));
    write("new.json", file(at));
    write("other.json", file(at, {SimulatedFault::tcb_info_fmspc}));
    EXPECT_EQ(found_issue_date(), to_rfc3339(at));
    EXPECT_TRUE(skipped.empty());
}

TEST_F(CollateralDirectory, NeverAnswersForAnotherAnchorPlatformOrCa) {
    write("collateral.json", file(at));
    ASSERT_TRUE(source->find(key(), at));
    CollateralKey other = key();
    other.anchor_spki_sha256 = intel_root_spki_sha256;
    EXPECT_EQ(source->find(other, at).error().code, "collateral_unavailable");
    other = key();
    other.fmspc[0] ^= 1;
    EXPECT_FALSE(source->find(other, at));
    other = key();
    other.ca = PckCa::processor;
    EXPECT_FALSE(source->find(other, at));
}

TEST_F(CollateralDirectory, NoticesFilesThatAppearChangeAndGo) {
    write("a.json", file(at - 24h));
    EXPECT_EQ(found_issue_date(), to_rfc3339(at - 24h));
    const auto before = fs::last_write_time(folder / "a.json");
    write("a.json", file(at));
    fs::last_write_time(folder / "a.json", before + 2s);
    EXPECT_EQ(found_issue_date(), to_rfc3339(at));
    fs::remove(folder / "a.json");
    EXPECT_EQ(found_issue_date(), "collateral_unavailable");
    fs::remove_all(folder);
    EXPECT_EQ(found_issue_date(), "collateral_unavailable");
}

// What is remembered of a folder is remembered once its last change is a while ago: `later`.
TEST_F(CollateralDirectory, NoticesThemInAFolderThatHasLongBeenAsItWas) {
    const WallTime later = wall_now() + 1h;
    const auto issue_date = [&] {
        const auto found = source->find(key(), later);
        return found ? to_rfc3339(read_collateral_label(**found)->issued_at) : found.error().code;
    };
    write("a.json", file(at - 24h));
    for (int i = 0; i < 2; ++i) EXPECT_EQ(issue_date(), to_rfc3339(at - 24h));
    const auto before = fs::last_write_time(folder / "a.json");
    write("a.json", file(at - 12h));
    fs::last_write_time(folder / "a.json", before + 2s);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(issue_date(), to_rfc3339(at - 12h));
    write("b.json", file(at));
    fs::last_write_time(folder, before + 4s);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(issue_date(), to_rfc3339(at));
    fs::remove(folder / "b.json");
    fs::last_write_time(folder, before + 6s);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(issue_date(), to_rfc3339(at - 12h));
    fs::remove_all(folder);
    EXPECT_EQ(issue_date(), "collateral_unavailable");
}

TEST_F(CollateralDirectory, SkipsWhatIsNoCollateralAndSaysSoOnce) {
    write("collateral.json", file(at));
    write("allowlist.json", R"({"version":"1.0"})");
    write("notes.txt", "not looked at");
    fs::create_directory(folder / "folder.json");
    write("unlabelled.json", R"({"tcb_info":"{}"})");
    EXPECT_EQ(found_issue_date(), to_rfc3339(at));
    EXPECT_EQ(found_issue_date(), to_rfc3339(at));
    std::sort(skipped.begin(), skipped.end());
    EXPECT_EQ(skipped,
              (std::vector<std::string>{"allowlist.json collateral_malformed", "folder.json file_unreadable",
                                        "unlabelled.json collateral_malformed"}));
}

TEST_F(CollateralDirectory, AnswersSeveralThreadsAtOnce) {
    write("collateral.json", file(at));
    const CollateralKey wanted = key();
    std::atomic<int> found = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < 50; ++k) found += source->find(wanted, at).has_value() ? 1 : 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(found, 200);
}

struct AllowlistDirectory : Directory {
    std::unique_ptr<ReleaseSource> source = make_allowlist_directory(folder);

    std::string outcome(const std::string& repo, const std::string& tag) {
        const auto found = source->find({.release = {repo, tag}}, at);
        return found ? found->allowlist->release_tag : found.error().code;
    }
    static std::string tagged(const std::string& tag) {
        return R"({"version":"1.0","release_tag":")" + tag + "\"}";
    }
};

TEST_F(AllowlistDirectory, ReadsTheFileOfTheRelease) {
    write("org/repo/v0.1.3.json", tagged("v0.1.3"));
    EXPECT_EQ(outcome("org/repo", "v0.1.3"), "v0.1.3");
    EXPECT_EQ(outcome("org/repo", "v0.1.4"), "allowlist_missing");
    EXPECT_EQ(outcome("org/other", "v0.1.3"), "allowlist_missing");
    EXPECT_EQ(outcome("orgrepo", "v0.1.3"), "allowlist_missing");
    EXPECT_EQ(outcome("org/re/po", "v0.1.3"), "allowlist_missing");
    write("org/repo/v0.1.3.json", tagged("changed"));
    EXPECT_EQ(outcome("org/repo", "v0.1.3"), "changed");
}

TEST_F(AllowlistDirectory, ReadsAFileAnewOnceItHasChanged) {
    const WallTime later = wall_now() + 1h;
    const auto look = [&] { return source->find({.release = {"org/repo", "v1"}}, later); };
    write("org/repo/v1.json", tagged("before"));
    const auto first = look();
    ASSERT_TRUE(first);
    EXPECT_EQ(look()->allowlist, first->allowlist) << "it was read twice";
    const auto before = fs::last_write_time(folder / "org/repo/v1.json");
    write("org/repo/v1.json", tagged("after_"));  // of the same size
    fs::last_write_time(folder / "org/repo/v1.json", before + 2s);
    EXPECT_EQ(look()->allowlist->release_tag, "after_");
    write("other", tagged("other_"));
    fs::last_write_time(folder / "other", before + 2s);
    fs::rename(folder / "other", folder / "org/repo/v1.json");
    EXPECT_EQ(look()->allowlist->release_tag, "other_")
        << "another file under its name, of one size and time";
    write("org/repo/v1.json", "{");
    EXPECT_FALSE(look());
    fs::remove(folder / "org/repo/v1.json");
    EXPECT_EQ(look().error().code, "allowlist_missing");
}

// A second change within a tick of the file system's clock would not show.
TEST_F(AllowlistDirectory, RemembersNoFileThatHasJustChanged) {
    write("org/repo/v1.json", tagged("before"));
    const auto look = [&] { return source->find({.release = {"org/repo", "v1"}}, wall_now())->allowlist; };
    EXPECT_NE(look(), look());
}

TEST_F(AllowlistDirectory, KeepsEveryNameWithinItsSegment) {
    write("org/repo/release%2Fv1%20b.json", tagged("encoded"));
    EXPECT_EQ(outcome("org/repo", "release/v1 b"), "encoded");
    write("secret.json", tagged("outside"));
    write("org/x.json", tagged("outside"));
    EXPECT_EQ(outcome("org/..", "x"), "allowlist_missing");
    EXPECT_EQ(outcome("org/repo", "../x"), "allowlist_missing");
    EXPECT_EQ(outcome("../" + folder.filename().string(), "secret"), "allowlist_missing");
    EXPECT_EQ(percent_encoded_segment(".."), "%2E%2E");
    EXPECT_EQ(percent_encoded_segment("v1.0-rc_2~"), "v1.0-rc_2~");
    EXPECT_EQ(percent_encoded_segment("\xc3\xa4%"), "%C3%A4%25");
}

TEST_F(AllowlistDirectory, SaysWhatIsWrongWithAFile) {
    write("org/repo/a.json", "{}");
    EXPECT_EQ(outcome("org/repo", "a"), "allowlist_invalid:/version");
    write("org/repo/b.json", std::string(allowlist_size_max + 1, ' '));
    EXPECT_EQ(outcome("org/repo", "b"), "allowlist_invalid:/");
    fs::create_directories(folder / "org/repo/c.json");
    EXPECT_EQ(outcome("org/repo", "c"), "allowlist_missing");
}

TEST_F(Directory, WholeFilesAreReadUpToTheirLimit) {
    write("file", "12345");
    EXPECT_EQ(read_whole_file(folder / "file", 5), "12345");
    EXPECT_EQ(read_whole_file(folder / "file", 4).error().code, "file_too_large");
    EXPECT_EQ(read_whole_file(folder / "none", 4).error().code, "file_unreadable");
    write("empty", "");
    EXPECT_EQ(read_whole_file(folder / "empty", 0), "");
}

}  // namespace
}  // namespace ee::attestation
