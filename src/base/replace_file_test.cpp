#include "base/replace_file.h"

#include <csignal>
#include <fstream>
#include <iterator>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace ee {
namespace {

namespace fs = std::filesystem;

class ReplaceFile : public testing::Test {
protected:
    ReplaceFile() {
        std::string name = (fs::temp_directory_path() / "ee-replace-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~ReplaceFile() override { fs::remove_all(folder); }

    static void write(const fs::path& file, std::string_view text) {
        std::ofstream(file, std::ios::binary) << text;
    }
    static std::string read(const fs::path& file) {
        std::ifstream in(file, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
    }

    fs::path folder;
};

TEST_F(ReplaceFile, MakesAndReplaces) {
    const fs::path file = folder / "file";
    const std::string large(3'000'000, 'x');
    for (const std::string& text : {std::string("first"), large, std::string("a\0b\n", 4), std::string()}) {
        ASSERT_TRUE(replace_file(file, text, 0600));
        EXPECT_EQ(read(file), text);
        EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    }
    EXPECT_EQ(files(), 1u);
}

TEST_F(ReplaceFile, WhoHasOpenedTheFileGoesOnReadingWhatItHeld) {
    write(folder / "file", "before");
    std::ifstream open(folder / "file", std::ios::binary);
    ASSERT_TRUE(replace_file(folder / "file", "after", 0600));
    EXPECT_EQ((std::string{std::istreambuf_iterator<char>(open), {}}), "before");
}

// As a process leaves it that ended meanwhile, or as someone else may have put it there.
TEST_F(ReplaceFile, WhatIsInItsWayIsNotWrittenTo) {
    write(folder / "other", "kept");
    fs::create_symlink(folder / "other", folder / "file.new");
    ASSERT_TRUE(replace_file(folder / "file", "text", 0600));
    EXPECT_EQ(read(folder / "other"), "kept");
    EXPECT_EQ(read(folder / "file"), "text");
    EXPECT_FALSE(fs::is_symlink(folder / "file"));
}

TEST_F(ReplaceFile, SaysWhyNotAndLeavesWhatWasThere) {
    const auto in_nothing = replace_file(folder / "missing" / "file", "text", 0600);
    ASSERT_FALSE(in_nothing);
    EXPECT_EQ(in_nothing.error().code, "file_unwritable");
    EXPECT_EQ(in_nothing.error().detail,
              (folder / "missing" / "file").string() + ": No such file or directory");

    fs::create_directories(folder / "place" / "inner");
    const auto over_folder = replace_file(folder / "place", "text", 0600);
    ASSERT_FALSE(over_folder);
    EXPECT_EQ(over_folder.error().detail, (folder / "place").string() + ": Is a directory");
    EXPECT_TRUE(fs::exists(folder / "place" / "inner"));
    EXPECT_EQ(files(), 1u);  // The new one is gone.
}

TEST_F(ReplaceFile, WhatTheDiskDoesNotTakeReplacesNothing) {
    write(folder / "file", "before");
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto handled = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{.rlim_cur = 8192, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto replaced = replace_file(folder / "file", std::string(10'000, 'x'), 0600);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, handled);
    ASSERT_FALSE(replaced);
    EXPECT_EQ(replaced.error().detail, (folder / "file").string() + ": File too large");
    EXPECT_EQ(read(folder / "file"), "before");
    EXPECT_EQ(files(), 1u);
}

}  // namespace
}  // namespace ee
