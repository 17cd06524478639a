#include "ledger/sqlite/fault_vfs.h"

#include <fstream>
#include <thread>

#include <sqlite3.h>

#include "base/check.h"

namespace ee::ledger {

// What SQLite holds of an open file; the file of the system's VFS lies behind it.
struct FaultyFile {
    sqlite3_file base;
    FaultyDisk* disk;
    std::string* path;             // null: temporary, not of the model
    std::uint64_t failures_heard;  // of syncs, its own and those through others of the same file

    static FaultyFile& of(sqlite3_file* file) { return *reinterpret_cast<FaultyFile*>(file); }
    static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<sqlite3_file*>(&of(file) + 1); }

    static bool is_modelled(sqlite3_file* file) {
        return of(file).path != nullptr && of(file).disk->syncs_ == FaultyDisk::Syncs::modelled;
    }

    static int close(sqlite3_file* file) {
        delete of(file).path;
        return real(file)->pMethods->xClose(real(file));
    }
    static int read(sqlite3_file* file, void* bytes, int size, sqlite3_int64 offset) {
        if (!has_power(file)) return SQLITE_IOERR_READ;
        return real(file)->pMethods->xRead(real(file), bytes, size, offset);
    }
    static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
        const auto answer = of(file).disk->ask(DiskOperation::write, of(file).path);
        if (answer == DiskAnswer::full) return SQLITE_FULL;
        if (answer && answer != DiskAnswer::short_write) return SQLITE_IOERR_WRITE;
        if (answer) size /= 2;
        const int code = real(file)->pMethods->xWrite(real(file), bytes, size, offset);
        if (code != SQLITE_OK) return code;
        if (is_modelled(file))
            of(file).disk->wrote(
                *of(file).path, {.offset = static_cast<std::uint64_t>(offset),
                                 .bytes = {static_cast<const char*>(bytes), static_cast<std::size_t>(size)}});
        return answer ? SQLITE_FULL : SQLITE_OK;  // What the system's VFS says of a short write.
    }
    static int truncate(sqlite3_file* file, sqlite3_int64 size) {
        if (of(file).disk->ask(DiskOperation::truncate, of(file).path)) return SQLITE_IOERR_TRUNCATE;
        const int code = real(file)->pMethods->xTruncate(real(file), size);
        if (code == SQLITE_OK && is_modelled(file))
            of(file).disk->wrote(
                *of(file).path, {.offset = static_cast<std::uint64_t>(size), .bytes = {}, .truncates = true});
        return code;
    }
    static int sync(sqlite3_file* file, int flags) {
        FaultyDisk& disk = *of(file).disk;
        std::this_thread::sleep_for(disk.sync_delay_);
        if (!disk.sync(of(file).path, of(file).failures_heard)) return SQLITE_IOERR_FSYNC;
        if (disk.syncs_ == FaultyDisk::Syncs::modelled) return SQLITE_OK;
        return real(file)->pMethods->xSync(real(file), flags);
    }
    static int size(sqlite3_file* file, sqlite3_int64* size) {
        if (!has_power(file)) return SQLITE_IOERR_FSTAT;
        return real(file)->pMethods->xFileSize(real(file), size);
    }
    static bool has_power(sqlite3_file* file) {
        const std::lock_guard guard(of(file).disk->mutex_);
        return of(file).disk->power_;
    }
};

namespace {

int lock(sqlite3_file* file, int level) {
    return FaultyFile::real(file)->pMethods->xLock(FaultyFile::real(file), level);
}
int unlock(sqlite3_file* file, int level) {
    return FaultyFile::real(file)->pMethods->xUnlock(FaultyFile::real(file), level);
}
int is_reserved(sqlite3_file* file, int* reserved) {
    return FaultyFile::real(file)->pMethods->xCheckReservedLock(FaultyFile::real(file), reserved);
}
int control(sqlite3_file* file, int what, void* argument) {
    return FaultyFile::real(file)->pMethods->xFileControl(FaultyFile::real(file), what, argument);
}
int sector_size(sqlite3_file* file) {
    return FaultyFile::real(file)->pMethods->xSectorSize(FaultyFile::real(file));
}
int characteristics(sqlite3_file* file) {
    return FaultyFile::real(file)->pMethods->xDeviceCharacteristics(FaultyFile::real(file));
}
int map_shared(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
    return FaultyFile::real(file)->pMethods->xShmMap(FaultyFile::real(file), region, size, extend, out);
}
int lock_shared(sqlite3_file* file, int offset, int count, int flags) {
    return FaultyFile::real(file)->pMethods->xShmLock(FaultyFile::real(file), offset, count, flags);
}
void barrier(sqlite3_file* file) {
    FaultyFile::real(file)->pMethods->xShmBarrier(FaultyFile::real(file));
}
int unmap_shared(sqlite3_file* file, int remove) {
    return FaultyFile::real(file)->pMethods->xShmUnmap(FaultyFile::real(file), remove);
}

// Version 2: no mapping of the file itself, whose writes would not be seen.
const sqlite3_io_methods methods{
    .iVersion = 2,
    .xClose = FaultyFile::close,
    .xRead = FaultyFile::read,
    .xWrite = FaultyFile::write,
    .xTruncate = FaultyFile::truncate,
    .xSync = FaultyFile::sync,
    .xFileSize = FaultyFile::size,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = is_reserved,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = barrier,
    .xShmUnmap = unmap_shared,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

std::string content_of(const std::string& path) {
    std::string content(std::filesystem::file_size(path), '\0');
    std::ifstream(path, std::ios::binary).read(content.data(), static_cast<std::streamsize>(content.size()));
    return content;
}

}  // namespace

struct FaultyDisk::Vfs {
    sqlite3_vfs vfs{};
    sqlite3_vfs* system = nullptr;

    static FaultyDisk& disk(sqlite3_vfs* vfs) { return *static_cast<FaultyDisk*>(vfs->pAppData); }
    static sqlite3_vfs* real(sqlite3_vfs* vfs) { return disk(vfs).vfs_->system; }

    static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
        FaultyFile& opened = FaultyFile::of(file);
        opened.base.pMethods = nullptr;
        opened.disk = &disk(vfs);
        opened.path = nullptr;
        opened.failures_heard = 0;
        {
            const std::lock_guard guard(opened.disk->mutex_);
            if (!opened.disk->power_) return SQLITE_CANTOPEN;
        }
        const int code = real(vfs)->xOpen(real(vfs), name, FaultyFile::real(file), flags, out_flags);
        if (code != SQLITE_OK) return code;
        if (name != nullptr) {
            opened.path = new std::string(name);
            opened.failures_heard = opened.disk->opened(*opened.path);
        }
        opened.base.pMethods = &methods;
        return SQLITE_OK;
    }
    static int remove(sqlite3_vfs* vfs, const char* name, int sync_folder) {
        FaultyDisk& self = disk(vfs);
        {
            const std::lock_guard guard(self.mutex_);
            if (!self.power_) return SQLITE_IOERR_DELETE;
        }
        const int code = real(vfs)->xDelete(real(vfs), name, sync_folder);
        if (code == SQLITE_OK) self.deleted(name);
        return code;
    }
};

FaultyDisk::FaultyDisk(std::uint64_t seed, Syncs syncs)
    : vfs_(std::make_unique<Vfs>()), syncs_(syncs), random_(seed) {
    vfs_->system = sqlite3_vfs_find(nullptr);
    vfs_->vfs = *vfs_->system;
    vfs_->vfs.zName = "faulty";
    vfs_->vfs.pAppData = this;
    vfs_->vfs.szOsFile = static_cast<int>(sizeof(FaultyFile)) + vfs_->system->szOsFile;
    vfs_->vfs.xOpen = Vfs::open;
    vfs_->vfs.xDelete = Vfs::remove;
    EE_CHECK(sqlite3_vfs_register(&vfs_->vfs, 1) == SQLITE_OK);
}

FaultyDisk::~FaultyDisk() {
    sqlite3_vfs_unregister(&vfs_->vfs);
    sqlite3_vfs_register(vfs_->system, 1);
}

void FaultyDisk::fail(DiskOperation operation, std::uint64_t nth, DiskAnswer answer) {
    const std::lock_guard guard(mutex_);
    failing_ = operation;
    countdown_ = nth;
    answer_ = answer;
    has_failed_ = false;
}

void FaultyDisk::fail_syncs_of(const std::filesystem::path& file) {
    const std::lock_guard guard(mutex_);
    unsyncable_ = file.string();
}

std::size_t FaultyDisk::most_unsynced(const std::filesystem::path& file) const {
    const std::lock_guard guard(mutex_);
    const auto found = images_.find(file.string());
    return found == images_.end() ? 0 : found->second.most_unsynced;
}

bool FaultyDisk::has_failed() const {
    const std::lock_guard guard(mutex_);
    return has_failed_;
}

std::uint64_t FaultyDisk::operations() const {
    const std::lock_guard guard(mutex_);
    return operations_;
}

void FaultyDisk::delay_syncs(std::chrono::microseconds delay) {
    sync_delay_ = delay;
}

std::optional<DiskAnswer> FaultyDisk::ask(DiskOperation operation, const std::string* path) {
    const std::lock_guard guard(mutex_);
    if (!power_) return DiskAnswer::power_cut;
    ++operations_;
    if (operation == DiskOperation::sync && path != nullptr && *path == unsyncable_) return DiskAnswer::io;
    if (countdown_ == 0 || (failing_ != DiskOperation::any && failing_ != operation)) return std::nullopt;
    if (--countdown_ > 0) return std::nullopt;
    has_failed_ = true;
    if (answer_ == DiskAnswer::power_cut) power_ = false;
    return answer_;
}

std::uint64_t FaultyDisk::opened(const std::string& path) {
    const std::lock_guard guard(mutex_);
    if (!images_.contains(path)) images_[path].durable = content_of(path);
    return images_[path].failures;
}

void FaultyDisk::deleted(const std::string& path) {
    const std::lock_guard guard(mutex_);
    images_.erase(path);
}

void FaultyDisk::wrote(const std::string& path, Step step) {
    const std::lock_guard guard(mutex_);
    Image& image = images_[path];
    image.unsynced.push_back(std::move(step));
    image.most_unsynced = std::max(image.most_unsynced, image.unsynced.size());
}

void FaultyDisk::apply(std::string& content, const Step& step) {
    if (step.truncates || content.size() < step.offset + step.bytes.size())
        content.resize(step.offset + step.bytes.size());
    content.replace(step.offset, step.bytes.size(), step.bytes);
}

bool FaultyDisk::sync(const std::string* path, std::uint64_t& failures_heard) {
    const bool fails = ask(DiskOperation::sync, path).has_value();
    if (path == nullptr) return !fails;
    const std::lock_guard guard(mutex_);
    if (!power_) return false;
    Image& image = images_[*path];
    if (fails) {
        apply_by_chance(image);
        ++image.failures;
    }
    if (failures_heard < image.failures) {
        failures_heard = image.failures;
        return false;
    }
    for (const Step& step : image.unsynced) apply(image.durable, step);
    image.unsynced.clear();
    return true;
}

// Sector by sector.
void FaultyDisk::apply_by_chance(Image& image) {
    constexpr std::uint64_t sector = 512;
    const std::uint64_t chance = random_() % 4;  // of 3: seldom all, seldom none
    for (const Step& step : image.unsynced) {
        if (step.truncates) {
            if (random_() % 3 < chance) apply(image.durable, step);
            continue;
        }
        for (std::uint64_t at = 0; at < step.bytes.size();) {
            const std::uint64_t size =
                std::min<std::uint64_t>(sector - (step.offset + at) % sector, step.bytes.size() - at);
            if (random_() % 3 < chance)
                apply(image.durable, {.offset = step.offset + at, .bytes = step.bytes.substr(at, size)});
            at += size;
        }
    }
    image.unsynced.clear();
}

void FaultyDisk::cut_power() {
    const std::lock_guard guard(mutex_);
    power_ = false;
}

void FaultyDisk::power_returns(Unsynced unsynced) {
    const std::lock_guard guard(mutex_);
    for (auto& [path, image] : images_) {
        if (unsynced == Unsynced::random) apply_by_chance(image);
        image.unsynced.clear();
        std::ofstream(path, std::ios::binary | std::ios::trunc) << image.durable;
        std::filesystem::remove(path + "-shm");
    }
    images_.clear();
    countdown_ = 0;
    power_ = true;
}

void wait_for_copy(const FaultyDisk& disk, const sqlite::Writers& writers) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const std::uint64_t before = writers.copied();
    while (writers.is_copying() && writers.copied() == before && !disk.has_failed() &&
           std::chrono::steady_clock::now() < deadline)
        std::this_thread::yield();
}

}  // namespace ee::ledger
