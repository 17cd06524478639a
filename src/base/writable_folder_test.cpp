#include "base/writable_folder.h"

#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ee {
namespace {

namespace fs = std::filesystem;

TEST(CheckWritable, LeavesNothingBehindAndNamesWhatCannotBeWritten) {
    std::string name = (fs::temp_directory_path() / "ee-writable-XXXXXX").string();
    const fs::path folder = ::mkdtemp(name.data());
    EXPECT_TRUE(check_writable(folder));
    EXPECT_TRUE(check_writable(folder / "made" / "when needed"));
    EXPECT_TRUE(fs::is_empty(folder));
    EXPECT_TRUE(check_writable(""));

    std::ofstream(folder / "file") << "x";
    const auto below_file = check_writable(folder / "file" / "folder");
    ASSERT_FALSE(below_file);
    EXPECT_EQ(below_file.error().code, "folder_unwritable");
    EXPECT_NE(below_file.error().detail.find((folder / "file").string() + ": Not a directory"),
              std::string::npos)
        << below_file.error().detail;
    // Not even root makes files there, whatever its permissions say.
    EXPECT_FALSE(check_writable("/proc/x/y"));
    fs::remove_all(folder);
}

}  // namespace
}  // namespace ee
