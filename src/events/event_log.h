#pragma once
// Numbers events, keeps the newest of them in memory, and lets readers follow: each at its own pace, none of
// them holding up anybody. An event is shown once it is on disk, so that no reader has seen a number that a
// restart would give again. One thread; reads no clock.

#include <deque>
#include <memory>
#include <vector>

#include "events/event.h"

namespace ee::events {

using SharedEvent = std::shared_ptr<const Event>;

inline constexpr std::size_t kept_default = 10'000;
inline constexpr std::size_t detail_bytes_max = 1024;
inline constexpr std::size_t data_bytes_max = 4096;

// Where events are kept across restarts.
class Store {
public:
    virtual ~Store() = default;
    // Later, in the order of the calls; those up to `drop_through` need not be kept any longer.
    virtual void keep(SharedEvent event, std::uint64_t drop_through) = 0;
};

// What a store has of the runs before.
struct Loaded {
    std::vector<Event> events{};     // By number.
    std::uint64_t next_seq = 1;      // Nobody has seen this one or any after it.
    std::uint64_t reserved_seq = 0;  // Up to here numbers are taken, whatever becomes of their events.
};

struct Filter {
    std::string app_name{};  // Empty, like `kind`: any.
    std::string kind{};

    bool takes(const Event& event) const {
        return (app_name.empty() || event.app_name == app_name) && (kind.empty() || event.kind == kind);
    }
};

class EventLog final : public Sink {
public:
    class Follower {
    public:
        // There is more to read. Neither adds events nor changes who follows.
        virtual void on_events() = 0;

    protected:
        ~Follower() = default;
    };

    EventLog(Store& store, Loaded loaded, std::size_t kept_max = kept_default);

    // Texts that are too long are cut.
    std::uint64_t add(Event event) override;

    // From the store: all up to `through` were written, or (`stored` false) could not be. Those are shown as
    // well, so far as their numbers are reserved; the others are lost.
    void written(std::uint64_t through, std::uint64_t reserved, bool stored);

    struct Next {
        SharedEvent event{};         // Null: nothing, or `lost`.
        std::uint64_t position = 0;  // Where the reader is now.
        bool lost = false;           // What came after its old position is not kept; it goes on behind that.
    };
    // The first event after `after` that `filter` takes.
    Next next(std::uint64_t after, const Filter& filter) const;
    // Of the newest event that is shown; where who wants only new ones begins.
    std::uint64_t newest() const { return shown_; }
    // Of the oldest that is kept; one behind newest() when there is none.
    std::uint64_t oldest() const { return lost_through_ + 1; }

    void follow(Follower& follower) { followers_.push_back(&follower); }
    void unfollow(Follower& follower) { std::erase(followers_, &follower); }

    std::uint64_t lost() const { return lost_; }  // Of a disk that failed.

private:
    using Events = std::deque<SharedEvent>;
    Events::const_iterator after(std::uint64_t seq) const;
    void drop_oldest();

    Store& store_;
    const std::size_t kept_max_;
    Events events_;  // By number; those after shown_ wait for the disk.
    std::uint64_t next_seq_;
    std::uint64_t reserved_;
    std::uint64_t shown_;
    std::uint64_t lost_through_;
    std::uint64_t lost_ = 0;
    std::vector<Follower*> followers_;
};

}  // namespace ee::events
