#include "attestation/provider/tsm_provider.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/hex.h"
#include "crypto/digest.h"

namespace ee::attestation {
namespace {

constexpr std::size_t quote_bytes_max = 16 * 1024;
constexpr std::size_t text_attribute_bytes_max = 4096;
constexpr std::string_view tdx_provider = "tdx_guest";

// What an operator can do about each errno that the kernel gives for TDX reports.
std::string advice(int error) {
    switch (error) {
        case ENOENT:
        case ENXIO:
            return "no TSM provider is registered; in a TDX guest load it with `modprobe tdx_guest`, "
                   "elsewhere "
                   "there are no genuine quotes";
        case EACCES:
        case EPERM: return "this user may not use it; run as root or grant write access to the folder";
        case EBUSY:
        case EINTR:
            return "an earlier request to the host's quote generation service has not come back yet; try "
                   "again";
        case EIO:
        case ETIMEDOUT:
        case ENODEV:
            return "the host gave no quote; on the host, check that its quote generation service (qgsd) "
                   "runs, that "
                   "the VM has a quote-generation socket, and that the PCK certificate is cached";
        case EFBIG: return "the quote is larger than anything this program accepts";
        default: return "the kernel refused; see dmesg";
    }
}

Error failed(const std::filesystem::path& path, std::string_view action, int error) {
    const bool busy = error == EBUSY || error == EINTR;
    return {busy ? "quote_provider_busy" : "quote_provider_failed",
            fmt::format("cannot {} {}: {} ({})", action, path.string(), std::strerror(error), advice(error))};
}

class TsmProvider final : public QuoteProvider {
public:
    TsmProvider(std::filesystem::path root, std::unique_ptr<TsmFiles> files)
        : root_(std::move(root)), files_(std::move(files)) {}

    Result<Bytes> quote(const ByteArray<64>& report_data) override {
        // A host makes one quote at a time anyway; waiting here keeps EBUSY for real trouble.
        const std::lock_guard one_at_a_time(mutex_);
        // A name nobody else has: an entry of our own cannot be written to by others by accident.
        const std::filesystem::path entry = root_ / ("easyenclave-" + to_hex(crypto::random_bytes<8>()));
        if (const int error = files_->make_entry(entry); error != 0) {
            return fail(failed(entry, "create", error));
        }
        Result<Bytes> answer = quote_from(entry, report_data);
        const int error = files_->remove_entry(entry);
        if (error != 0 && answer) return fail(failed(entry, "remove", error));
        return answer;
    }

private:
    Result<Bytes> quote_from(const std::filesystem::path& entry, const ByteArray<64>& report_data) {
        const auto provider = read_text(entry / "provider");
        if (!provider) return fail(provider.error());
        if (*provider != tdx_provider) {
            return fail(
                "quote_provider_failed",
                fmt::format(
                    "{} speaks for \"{}\", not for Intel TDX (\"{}\"): this machine is another kind of "
                    "confidential VM",
                    root_.string(), *provider, tdx_provider));
        }
        const auto before = read_generation(entry);
        if (!before) return fail(before.error());
        if (const int error = files_->write(entry / "inblob", report_data); error != 0) {
            return fail(failed(entry / "inblob", "write", error));
        }
        Bytes quote;
        if (const int error = files_->read(entry / "outblob", quote_bytes_max, quote); error != 0) {
            return fail(failed(entry / "outblob", "read", error));
        }
        const auto after = read_generation(entry);
        if (!after) return fail(after.error());
        // The kernel counts writes. More than our one means that the quote may be over another's data.
        if (*after != *before + 1) {
            return fail(
                "quote_provider_failed",
                fmt::format("{} was written {} times while the quote was made, expected once: another "
                            "process uses this entry",
                            entry.string(), *after - *before));
        }
        if (quote.empty()) {
            return fail("quote_provider_failed",
                        (entry / "outblob").string() + " is empty: the host gave no quote");
        }
        return quote;
    }

    Result<std::string> read_text(const std::filesystem::path& attribute) {
        Bytes bytes;
        if (const int error = files_->read(attribute, text_attribute_bytes_max, bytes); error != 0) {
            return fail(failed(attribute, "read", error));
        }
        std::string text(as_text(bytes));
        while (!text.empty() && text.back() == '\n') text.pop_back();
        return text;
    }

    Result<std::uint64_t> read_generation(const std::filesystem::path& entry) {
        const auto text = read_text(entry / "generation");
        if (!text) return fail(text.error());
        std::uint64_t number = 0;
        const char* end = text->data() + text->size();
        const auto [stop, error] = std::from_chars(text->data(), end, number);
        if (error != std::errc{} || stop != end) {
            return fail("quote_provider_failed",
                        fmt::format("{}/generation is \"{}\", not a number", entry.string(), *text));
        }
        return number;
    }

    std::filesystem::path root_;
    std::unique_ptr<TsmFiles> files_;
    std::mutex mutex_;
};

}  // namespace

bool tsm_present(const std::filesystem::path& root) {
    std::error_code ignored;
    return std::filesystem::is_directory(root, ignored);
}

std::unique_ptr<QuoteProvider> make_tsm_provider(std::filesystem::path root,
                                                 std::unique_ptr<TsmFiles> files) {
    return std::make_unique<TsmProvider>(std::move(root), std::move(files));
}

}  // namespace ee::attestation
