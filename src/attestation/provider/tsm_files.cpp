#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <sys/stat.h>

#include "attestation/provider/tsm_provider.h"

namespace ee::attestation {
namespace {

class PosixTsmFiles final : public TsmFiles {
public:
    int make_entry(const std::filesystem::path& entry) override {
        return ::mkdir(entry.c_str(), 0700) == 0 ? 0 : errno;
    }

    int remove_entry(const std::filesystem::path& entry) override {
        return ::rmdir(entry.c_str()) == 0 ? 0 : errno;
    }

    int write(const std::filesystem::path& attribute, ByteSpan bytes) override {
        const int fd = ::open(attribute.c_str(), O_WRONLY | O_CLOEXEC);
        if (fd < 0) return errno;
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        const int write_error =
            written < 0 ? errno : (static_cast<std::size_t>(written) == bytes.size() ? 0 : EIO);
        const int close_error = ::close(fd) == 0 ? 0 : errno;
        return write_error != 0 ? write_error : close_error;
    }

    int read(const std::filesystem::path& attribute, std::size_t size_max, Bytes& out) override {
        const int fd = ::open(attribute.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return errno;
        const int error = read_to_end(fd, size_max, out);
        ::close(fd);
        return error;
    }

private:
    // The size of a configfs attribute is not known before it has been read.
    static int read_to_end(int fd, std::size_t size_max, Bytes& out) {
        out.resize(size_max + 1);
        std::size_t size = 0;
        while (size < out.size()) {
            const ssize_t count = ::read(fd, out.data() + size, out.size() - size);
            if (count < 0) return errno;
            if (count == 0) break;
            size += static_cast<std::size_t>(count);
        }
        if (size > size_max) return EFBIG;
        out.resize(size);
        return 0;
    }
};

}  // namespace

std::unique_ptr<TsmFiles> make_posix_tsm_files() {
    return std::make_unique<PosixTsmFiles>();
}

}  // namespace ee::attestation
