#pragma once
// Quotes from the Linux kernel's configfs-tsm (Documentation/ABI/testing/configfs-tsm, since Linux 6.7).

#include <filesystem>
#include <memory>

#include "attestation/quote_provider.h"

namespace ee::attestation {

inline const std::filesystem::path tsm_report_root = "/sys/kernel/config/tsm/report";

// The file operations configfs-tsm needs; a model of the kernel stands here in tests.
// Each answers 0 or an errno value, as the kernel gave it.
class TsmFiles {
public:
    virtual ~TsmFiles() = default;

    // mkdir(2) and rmdir(2): in configfs they make and destroy the entry with all its attributes.
    virtual int make_entry(const std::filesystem::path& entry) = 0;
    virtual int remove_entry(const std::filesystem::path& entry) = 0;
    // One write(2) of an existing attribute, then close(2), which is when a binary attribute is committed.
    virtual int write(const std::filesystem::path& attribute, ByteSpan bytes) = 0;
    // The whole attribute; EFBIG beyond `size_max`.
    virtual int read(const std::filesystem::path& attribute, std::size_t size_max, Bytes& out) = 0;
};

std::unique_ptr<TsmFiles> make_posix_tsm_files();

// Whether the kernel offers reports under `root` at all.
bool tsm_present(const std::filesystem::path& root = tsm_report_root);

// Each quote uses an entry of its own below `root` and removes it afterwards.
std::unique_ptr<QuoteProvider> make_tsm_provider(std::filesystem::path root = tsm_report_root,
                                                 std::unique_ptr<TsmFiles> files = make_posix_tsm_files());

}  // namespace ee::attestation
