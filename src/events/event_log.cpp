#include "events/event_log.h"

#include <algorithm>

#include "base/utf8.h"

namespace ee::events {
namespace {

// At most so many bytes, no character cut in two.
void cut(std::string& text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return;
    std::size_t size = bytes_max;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    text.resize(size);
}

}  // namespace

EventLog::EventLog(Store& store, Loaded loaded, std::size_t kept_max)
    : store_(store),
      kept_max_(kept_max),
      next_seq_(loaded.next_seq),
      reserved_(loaded.reserved_seq),
      shown_(loaded.next_seq - 1),
      lost_through_(loaded.events.empty() ? loaded.next_seq - 1 : loaded.events.front().seq - 1) {
    for (Event& event : loaded.events) {
        events_.push_back(std::make_shared<const Event>(std::move(event)));
        drop_oldest();
    }
}

std::uint64_t EventLog::add(Event event) {
    cut(event.detail, detail_bytes_max);
    // Half a JSON object is none.
    if (event.data.size() > data_bytes_max) event.data.clear();
    event.seq = next_seq_++;
    events_.push_back(std::make_shared<const Event>(std::move(event)));
    drop_oldest();
    store_.keep(events_.back(), lost_through_);
    return next_seq_ - 1;
}

void EventLog::drop_oldest() {
    if (events_.size() <= kept_max_) return;
    lost_through_ = events_.front()->seq;
    shown_ = std::max(shown_, lost_through_);
    events_.pop_front();
}

void EventLog::written(std::uint64_t through, std::uint64_t reserved, bool stored) {
    if (!stored && through > reserved_) {
        const auto from = events_.begin() + (after(std::max(reserved_, shown_)) - events_.cbegin());
        const auto to = events_.begin() + (after(through) - events_.cbegin());
        lost_ += static_cast<std::uint64_t>(to - from);
        events_.erase(from, to);
        through = reserved_;
    }
    reserved_ = std::max(reserved_, reserved);
    if (through <= shown_) return;
    shown_ = through;
    for (Follower* follower : followers_) follower->on_events();
}

EventLog::Events::const_iterator EventLog::after(std::uint64_t seq) const {
    return std::upper_bound(
        events_.begin(), events_.end(), seq,
        [](std::uint64_t number, const SharedEvent& event) { return number < event->seq; });
}

EventLog::Next EventLog::next(std::uint64_t position, const Filter& filter) const {
    // A number that was never given: of another database, or of an older copy of this one.
    if (position < lost_through_ || position >= next_seq_) return {.position = lost_through_, .lost = true};
    for (auto at = after(position); at != events_.end() && (*at)->seq <= shown_; ++at)
        if (filter.takes(**at)) return {.event = *at, .position = (*at)->seq};
    return {.position = std::max(position, shown_)};
}

}  // namespace ee::events
