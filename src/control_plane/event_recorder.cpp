#include "control_plane/event_recorder.h"

namespace ee::control_plane {
namespace {

// At whatever time alone has changed: 2560 apps a second, 50 us at once.
constexpr std::chrono::milliseconds look_interval{100};
constexpr std::size_t look_steps = 256;

}  // namespace

EventRecorder::EventRecorder(net::Loop& loop, std::unique_ptr<events::EventStore> store,
                             const telemetry::Log& log, telemetry::Metrics& metrics)
    : loop_(loop),
      log_(log),
      recorded_(metrics.counter("ee_events_total", "Events shown to those who follow them")),
      not_stored_(metrics.counter("ee_events_not_stored_total", "Writes of events that the disk refused")),
      store_(std::move(store)),
      loaded_(store_->take_loaded()),
      events_(*store_, loaded_),
      looked_(loop, [this] { look(); }) {
    store_->on_written(
        [this](const events::EventStore::Written& what) { loop_.post([this, what] { on_written(what); }); });
}

// The store tells of nothing after this; what it has posted is never run, the loop being at its end.
EventRecorder::~EventRecorder() {
    store_->on_written({});
}

void EventRecorder::begin(registry::Registry& registry) {
    registry.load_events(loaded_.events);
    loaded_ = {};
    registry.tell(events_);
    events_.add({.at = wall_now(), .kind = "control_plane_started"});
    registry_ = &registry;
    look();
}

void EventRecorder::look() {
    registry_->note_lapses({loop_.now(), wall_now()}, look_steps);
    looked_.arm_after(look_interval);
}

void EventRecorder::on_written(const events::EventStore::Written& what) {
    const std::uint64_t before = events_.newest();
    events_.written(what.through, what.reserved, !what.failure);
    recorded_.add(events_.newest() - before);
    if (what.failure) {
        not_stored_.add();
        if (!failing_)
            log_.error("events.not_stored", {{"code", what.failure->code}, {"detail", what.failure->detail}});
    }
    failing_ = what.failure.has_value();
}

}  // namespace ee::control_plane
