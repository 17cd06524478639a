#include "sqlite/gathered_log.h"

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include <sqlite3.h>

#include "base/check.h"

namespace ee::sqlite {
namespace {

constexpr std::size_t gathered_bytes_max = 4 << 20;
constexpr std::size_t write_bytes_max = 120 << 10;  // SQLite's own VFS takes less than 128 KiB at once.
constexpr int file_bytes_max = 4096;                // of any VFS's file

sqlite3_vfs* system_vfs() {
    return sqlite3_vfs_find(nullptr);
}

// The write-ahead log of one connection. Other files are the default VFS's own.
struct LogFile {
    sqlite3_file base;
    std::unique_ptr<char[]> memory;  // of the file behind it
    bool gathers = false;
    std::string gathered;
    sqlite3_int64 gathered_at = 0;  // its place in the file

    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(memory.get()); }
    const sqlite3_io_methods& methods() { return *real()->pMethods; }
    sqlite3_int64 gathered_end() const { return gathered_at + static_cast<sqlite3_int64>(gathered.size()); }

    int flush() {
        int code = SQLITE_OK;
        for (std::size_t done = 0; done < gathered.size() && code == SQLITE_OK;) {
            const auto at = gathered_at + static_cast<sqlite3_int64>(done);
            // So that the next one begins with a page of the system's.
            const std::size_t size =
                std::min(write_bytes_max - static_cast<std::size_t>(at % 4096), gathered.size() - done);
            code = methods().xWrite(real(), gathered.data() + done, static_cast<int>(size), at);
            done += size;
        }
        gathered.clear();  // Of a transaction that fails nothing is wanted.
        return code;
    }
};

LogFile& log_of(sqlite3_file* file) {
    return *reinterpret_cast<LogFile*>(file);
}

int close_log(sqlite3_file* file) {
    LogFile& log = log_of(file);
    const int closed = log.methods().xClose(log.real());
    log.~LogFile();  // What was not synced was not committed.
    return closed;
}

int read_log(sqlite3_file* file, void* bytes, int size, sqlite3_int64 offset) {
    LogFile& log = log_of(file);
    if (offset < log.gathered_end() && log.gathered_at < offset + size) {
        if (const int flushed = log.flush(); flushed != SQLITE_OK) return flushed;
    }
    return log.methods().xRead(log.real(), bytes, size, offset);
}

int write_log(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
    LogFile& log = log_of(file);
    if (!log.gathers) return log.methods().xWrite(log.real(), bytes, size, offset);
    if (offset != log.gathered_end() || log.gathered.size() >= gathered_bytes_max) {
        if (const int flushed = log.flush(); flushed != SQLITE_OK) return flushed;
        log.gathered_at = offset;
    }
    log.gathered.append(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
    return SQLITE_OK;
}

template <auto method, class... Arguments>
int flush_and(sqlite3_file* file, Arguments... arguments) {
    LogFile& log = log_of(file);
    if (const int flushed = log.flush(); flushed != SQLITE_OK) return flushed;
    return (log.methods().*method)(log.real(), arguments...);
}

template <auto method, class... Arguments>
int pass_on(sqlite3_file* file, Arguments... arguments) {
    LogFile& log = log_of(file);
    return (log.methods().*method)(log.real(), arguments...);
}

// Version 1: the log is neither mapped, nor is there shared memory beside it.
const sqlite3_io_methods log_methods = [] {
    sqlite3_io_methods methods{};
    methods.iVersion = 1;
    methods.xClose = close_log;
    methods.xRead = read_log;
    methods.xWrite = write_log;
    methods.xTruncate = flush_and<&sqlite3_io_methods::xTruncate, sqlite3_int64>;
    methods.xSync = flush_and<&sqlite3_io_methods::xSync, int>;
    methods.xFileSize = flush_and<&sqlite3_io_methods::xFileSize, sqlite3_int64*>;
    methods.xLock = pass_on<&sqlite3_io_methods::xLock, int>;
    methods.xUnlock = pass_on<&sqlite3_io_methods::xUnlock, int>;
    methods.xCheckReservedLock = pass_on<&sqlite3_io_methods::xCheckReservedLock, int*>;
    methods.xFileControl = pass_on<&sqlite3_io_methods::xFileControl, int, void*>;
    methods.xSectorSize = pass_on<&sqlite3_io_methods::xSectorSize>;
    methods.xDeviceCharacteristics = pass_on<&sqlite3_io_methods::xDeviceCharacteristics>;
    return methods;
}();

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    sqlite3_vfs* const system = system_vfs();
    EE_CHECK(system->szOsFile <= file_bytes_max);
    if ((flags & SQLITE_OPEN_WAL) == 0) return system->xOpen(system, name, file, flags, out_flags);
    LogFile& log = *new (file) LogFile{};
    log.memory = std::make_unique<char[]>(static_cast<std::size_t>(system->szOsFile));
    const int code = system->xOpen(system, name, log.real(), flags, out_flags);
    if (code == SQLITE_OK) {
        // Else a commit goes on writing after it has synced, to fill a sector.
        log.gathers =
            (log.methods().xDeviceCharacteristics(log.real()) & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0;
        log.base.pMethods = &log_methods;
        return code;
    }
    log.~LogFile();
    file->pMethods = nullptr;
    return code;
}

template <auto method, class Answer, class... Arguments>
Answer ask_system(sqlite3_vfs*, Arguments... arguments) {
    sqlite3_vfs* const system = system_vfs();
    return (system->*method)(system, arguments...);
}

}  // namespace

const char* gathered_log_vfs() {
    static sqlite3_vfs vfs = [] {
        sqlite3_vfs made = *system_vfs();
        made.zName = "gathered-log";
        made.szOsFile = std::max<int>(file_bytes_max, sizeof(LogFile));
        made.pAppData = nullptr;
        made.xOpen = open_file;
        made.xDelete = ask_system<&sqlite3_vfs::xDelete, int, const char*, int>;
        made.xAccess = ask_system<&sqlite3_vfs::xAccess, int, const char*, int, int*>;
        made.xFullPathname = ask_system<&sqlite3_vfs::xFullPathname, int, const char*, int, char*>;
        return made;
    }();
    static const int registered = sqlite3_vfs_register(&vfs, 0);
    EE_CHECK(registered == SQLITE_OK);
    return vfs.zName;
}

}  // namespace ee::sqlite
