#include "agent/witness.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

#include <system_error>

#include "base/replace_file.h"
#include "ledger/witness_proof.h"
#include "protocol/limits.h"

namespace ee::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t old_bytes_max = 64 * 1024;

// The control plane takes no longer one. Some signature must be in the log's name, at least.
Result<ledger::UnverifiedCheckpoint> read_note(const std::string& note) {
    if (note.size() > protocol::checkpoint_bytes_max)
        return fail("checkpoint_too_large", std::to_string(note.size()) + " bytes, taken are " +
                                                std::to_string(protocol::checkpoint_bytes_max));
    auto parsed = ledger::parse_checkpoint(note);
    if (!parsed) return fail(std::move(parsed.error()));
    const std::string name = ledger::log_origin(parsed->checkpoint.log_id);
    if (std::ranges::none_of(parsed->signatures, [&](const auto& line) { return line.name == name; }))
        return fail("checkpoint_unsigned", "no signature is by " + name);
    return parsed;
}

std::string read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::string text(protocol::checkpoint_bytes_max + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
    return text;
}

// A checkpoint of another log than the one that is kept now.
Result<void> append_line(const fs::path& file, std::string_view note) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0600);
    const std::string line = std::string(note) + '\n';
    const bool written = fd >= 0 &&
                         ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                         ::fsync(fd) == 0;
    const std::string why = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    if (!written) return fail("state_dir_unusable", file.string() + ": " + why);
    return {};
}

// On a worker.
Result<void> save_files(const fs::path& folder, const std::string& note, const std::string& old) {
    std::error_code error;
    if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
    if (error) return fail("state_dir_unusable", folder.string() + ": " + error.message());
    const fs::path kept = folder / "checkpoints.old";
    if (!old.empty()) {
        const auto size = fs::file_size(kept, error);
        if (error || size < old_bytes_max)
            if (auto written = append_line(kept, old); !written) return written;
    }
    const auto saved = replace_file(folder / "checkpoint", note, 0600);
    if (!saved) return fail("state_dir_unusable", saved.error().detail);
    return {};
}

}  // namespace

Witness::Witness(net::Loop& loop, net::WorkerPool& workers, const telemetry::Log& log, fs::path folder)
    : loop_(loop), workers_(workers), log_(log), folder_(std::move(folder)) {
    std::string note = read_file(folder_ / "checkpoint");
    if (note.empty()) return;
    auto checkpoint = read_note(note);
    if (!checkpoint) {
        log_.error("witness.unreadable", {{"file", (folder_ / "checkpoint").string()},
                                          {"code", checkpoint.error().code},
                                          {"detail", checkpoint.error().detail}});
        return;
    }
    note_ = std::move(note);
    held_ = *std::move(checkpoint);
}

Witness::~Witness() {
    *alive_ = false;
}

void Witness::told(const std::string& note, const std::string& proof) {
    const auto refuse = [this](const Error& why) {
        log_.error("witness.refused", {{"code", why.code}, {"detail", why.detail}, {"held", note_}});
    };
    const auto checkpoint = read_note(note);
    if (!checkpoint) return refuse(checkpoint.error());
    if (note_.empty()) return take(note, *checkpoint, false);
    const auto next = ledger::check_continuation(held_.checkpoint, checkpoint->checkpoint, proof,
                                                 ledger::losses_named(held_));
    if (!next && next.error().code == "witness_other_log") {
        log_.warn("witness.other_log", {{"detail", next.error().detail}, {"held", note_}});
        return take(note, *checkpoint, true);
    }
    if (!next) return refuse(next.error());
    switch (*next) {
        case ledger::Continuation::same: return;
        case ledger::Continuation::appended: return take(note, *checkpoint, false);
        case ledger::Continuation::restored:
            log_.warn("witness.entries_lost", {{"held", note_}, {"told", note}});
            return take(note, *checkpoint, true);
    }
}

void Witness::take(const std::string& note, const ledger::UnverifiedCheckpoint& checkpoint, bool keeps_old) {
    if (keeps_old && old_.size() < old_bytes_max) old_.append(note_);
    note_ = note;
    held_ = checkpoint;
    unsaved_ = true;
    save();
}

void Witness::save() {
    if (saving_ || !unsaved_) return;
    saving_ = workers_.run([this, &loop = loop_, alive = alive_, folder = folder_, note = note_, old = old_] {
        const auto saved = save_files(folder, note, old);
        loop.post([this, alive, saved, old] {
            if (!*alive) return;
            saving_ = false;
            if (!saved) {
                log_.error("witness.not_kept",
                           {{"code", saved.error().code}, {"detail", saved.error().detail}});
                old_.insert(0, old);  // With the next one.
            }
            save();
        });
    });
    if (!saving_) return;  // Too much waits: with the next one.
    unsaved_ = false;
    old_.clear();
}

}  // namespace ee::agent
