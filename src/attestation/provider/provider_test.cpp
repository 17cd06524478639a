#include <cerrno>
#include <fstream>
#include <map>
#include <set>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/provider/quote_providers.h"
#include "attestation/provider/simulated_provider.h"
#include "attestation/provider/tsm_provider.h"
#include "attestation/quote.h"
#include "attestation/simulated_platform.h"

namespace ee::attestation {
namespace {

using std::filesystem::path;

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-provider-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    const std::filesystem::path& folder() const { return path_; }

private:
    std::filesystem::path path_;
};

ByteArray<64> report_data() {
    ByteArray<64> bytes{};
    bytes[0] = 0xa5;
    bytes[63] = 0x5a;
    return bytes;
}

// What drivers/virt/coco/tsm.c and tdx-guest.c do, as far as a reader of one quote can tell.
struct KernelModel {
    std::string provider = "tdx_guest\n";
    int make_error = 0;
    int remove_error = 0;
    int write_error = 0;
    int read_error = 0;
    bool other_writer = false;
    std::size_t quote_size = 4000;

    std::set<path> entries;
    Bytes inblob;
    std::uint64_t generation = 0;
    int entries_made = 0;
};

class ModelFiles final : public TsmFiles {
public:
    explicit ModelFiles(KernelModel& kernel) : kernel_(kernel) {}

    int make_entry(const path& entry) override {
        if (kernel_.make_error != 0) return kernel_.make_error;
        ++kernel_.entries_made;
        return kernel_.entries.insert(entry).second ? 0 : EEXIST;
    }
    int remove_entry(const path& entry) override {
        return kernel_.entries.erase(entry) == 1 ? kernel_.remove_error : ENOENT;
    }
    int write(const path& attribute, ByteSpan bytes) override {
        if (!kernel_.entries.contains(attribute.parent_path())) return ENOENT;
        if (attribute.filename() != "inblob") return EACCES;
        if (kernel_.write_error != 0) return kernel_.write_error;
        kernel_.inblob = to_bytes(bytes);
        ++kernel_.generation;
        return 0;
    }
    int read(const path& attribute, std::size_t size_max, Bytes& out) override {
        if (!kernel_.entries.contains(attribute.parent_path())) return ENOENT;
        const auto name = attribute.filename();
        if (name == "provider") out = to_bytes(as_bytes(kernel_.provider));
        if (name == "generation") out = to_bytes(as_bytes(std::to_string(kernel_.generation) + "\n"));
        if (name == "outblob") {
            if (kernel_.read_error != 0) return kernel_.read_error;
            if (kernel_.inblob.size() != 64) return EINVAL;
            if (kernel_.other_writer) ++kernel_.generation;
            out.assign(kernel_.quote_size, 0x5a);
        }
        return out.size() > size_max ? EFBIG : 0;
    }

private:
    KernelModel& kernel_;
};

std::unique_ptr<QuoteProvider> provider_on(KernelModel& kernel) {
    return make_tsm_provider("/tsm", std::make_unique<ModelFiles>(kernel));
}

TEST(TsmProvider, AsksForAQuoteOverTheReportDataAndLeavesNoEntryBehind) {
    KernelModel kernel;
    const auto provider = provider_on(kernel);
    for (int round = 1; round <= 3; ++round) {
        const auto quote = provider->quote(report_data());
        ASSERT_TRUE(quote) << quote.error().detail;
        EXPECT_EQ(quote->size(), 4000u);
        EXPECT_EQ(kernel.inblob, to_bytes(report_data()));
        EXPECT_TRUE(kernel.entries.empty());
        EXPECT_EQ(kernel.entries_made, round);
    }
}

TEST(TsmProvider, EveryTroubleIsASentenceAndLeavesNoEntryBehind) {
    struct Row {
        const char* what;
        void (*break_it)(KernelModel&);
        const char* code;
        const char* says;
    };
    const Row rows[] = {
        {"no TSM driver", [](KernelModel& k) { k.make_error = ENXIO; }, "quote_provider_failed",
         "modprobe tdx_guest"},
        {"not allowed", [](KernelModel& k) { k.make_error = EACCES; }, "quote_provider_failed",
         "run as root"},
        {"another TEE", [](KernelModel& k) { k.provider = "sev_guest\n"; }, "quote_provider_failed",
         "sev_guest"},
        {"an input refused", [](KernelModel& k) { k.write_error = EINVAL; }, "quote_provider_failed",
         "inblob"},
        {"an earlier quote in flight", [](KernelModel& k) { k.read_error = EBUSY; }, "quote_provider_busy",
         "try again"},
        {"interrupted", [](KernelModel& k) { k.read_error = EINTR; }, "quote_provider_busy", "try again"},
        {"no answer from the host", [](KernelModel& k) { k.read_error = EIO; }, "quote_provider_failed",
         "qgsd"},
        {"a second writer", [](KernelModel& k) { k.other_writer = true; }, "quote_provider_failed",
         "another process"},
        {"an empty quote", [](KernelModel& k) { k.quote_size = 0; }, "quote_provider_failed", "is empty"},
        {"a huge quote", [](KernelModel& k) { k.quote_size = 20000; }, "quote_provider_failed", "larger"},
        {"an entry that stays", [](KernelModel& k) { k.remove_error = EBUSY; }, "quote_provider_busy",
         "remove"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.what);
        KernelModel kernel;
        row.break_it(kernel);
        const auto quote = provider_on(kernel)->quote(report_data());
        ASSERT_FALSE(quote);
        EXPECT_EQ(quote.error().code, row.code);
        EXPECT_NE(quote.error().detail.find(row.says), std::string::npos) << quote.error().detail;
        EXPECT_TRUE(kernel.entries.empty());
    }
}

TEST(TsmFiles, WritesAndReadsWholeAttributesOfARealTree) {
    const TemporaryFolder temporary;
    const auto files = make_posix_tsm_files();
    const path entry = temporary.folder() / "entry";
    ASSERT_EQ(files->make_entry(entry), 0);
    EXPECT_EQ(files->make_entry(entry), EEXIST);
    // An attribute is never created by writing to it: the kernel makes them all.
    EXPECT_EQ(files->write(entry / "inblob", report_data()), ENOENT);
    std::ofstream(entry / "inblob").close();
    EXPECT_EQ(files->write(entry / "inblob", report_data()), 0);
    Bytes read;
    EXPECT_EQ(files->read(entry / "inblob", 64, read), 0);
    EXPECT_EQ(read, to_bytes(report_data()));
    EXPECT_EQ(files->read(entry / "inblob", 63, read), EFBIG);
    EXPECT_EQ(files->read(entry / "absent", 64, read), ENOENT);
    std::filesystem::remove(entry / "inblob");
    EXPECT_EQ(files->remove_entry(entry), 0);
    EXPECT_EQ(files->remove_entry(entry), ENOENT);
}

TEST(QuoteProviders, KindsHaveTheNamesOfTheSetting) {
    EXPECT_EQ(parse_quote_provider_kind("auto"), QuoteProviderKind::automatic);
    EXPECT_EQ(parse_quote_provider_kind("tsm"), QuoteProviderKind::tsm);
    EXPECT_EQ(parse_quote_provider_kind("simulated"), QuoteProviderKind::simulated);
    EXPECT_EQ(parse_quote_provider_kind("Simulated"), std::nullopt);
}

TEST(QuoteProviders, AutoNeverFallsBackToTheSimulatedPlatform) {
    const TemporaryFolder temporary;
    const WallTime at = *from_rfc3339("2026-01-15T10:30:00Z");
    ASSERT_TRUE(save_simulated_platform(temporary.folder(), make_simulated_platform(at), at));
    const auto provider =
        make_quote_provider(QuoteProviderKind::automatic, temporary.folder(), temporary.folder() / "no-tsm");
    ASSERT_FALSE(provider);
    EXPECT_EQ(provider.error().code, "quote_provider_unavailable");
    EXPECT_NE(provider.error().detail.find("EE_QUOTE_PROVIDER=simulated"), std::string::npos);
    EXPECT_NE(provider.error().detail.find("modprobe"), std::string::npos);
}

TEST(QuoteProviders, AutoTakesConfigfsTsmWherePresent) {
    const TemporaryFolder temporary;  // An empty report folder stands for a kernel without entries yet.
    EXPECT_TRUE(make_quote_provider(QuoteProviderKind::automatic, {}, temporary.folder()));
    EXPECT_TRUE(make_quote_provider(QuoteProviderKind::tsm, {}, temporary.folder()));
    const auto absent = make_quote_provider(QuoteProviderKind::tsm, {}, temporary.folder() / "absent");
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, "quote_provider_unavailable");
}

TEST(QuoteProviders, SimulatedNeedsAFolderThatHoldsAPlatform) {
    const TemporaryFolder temporary;
    const auto unset = make_quote_provider(QuoteProviderKind::simulated, {});
    ASSERT_FALSE(unset);
    EXPECT_NE(unset.error().detail.find("EE_SIMULATED_TDX_DIR is not set"), std::string::npos);
    const auto empty = make_quote_provider(QuoteProviderKind::simulated, temporary.folder());
    ASSERT_FALSE(empty);
    EXPECT_NE(empty.error().detail.find("eectl simulate init"), std::string::npos);
}

TEST(SimulatedProvider, QuotesTheReportDataItIsGiven) {
    const TemporaryFolder temporary;
    const WallTime at = *from_rfc3339("2026-01-15T10:30:00Z");
    ASSERT_TRUE(save_simulated_platform(temporary.folder(), make_simulated_platform(at), at));
    const auto provider = make_quote_provider(QuoteProviderKind::simulated, temporary.folder());
    ASSERT_TRUE(provider) << provider.error().detail;
    const auto bytes = (*provider)->quote(report_data());
    ASSERT_TRUE(bytes);
    const auto quote = parse_quote(*bytes);
    ASSERT_TRUE(quote) << quote.error().detail;
    EXPECT_EQ(quote->body.report_data, report_data());
}

}  // namespace
}  // namespace ee::attestation
