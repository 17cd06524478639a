#pragma once
// The one stream of events: what happens on the loop goes through its log to the file, and from there to who
// follows.

#include <memory>

#include "events/sqlite/event_store.h"
#include "net/loop.h"
#include "registry/registry.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace ee::control_plane {

class EventRecorder {
public:
    // What is given must outlive this object.
    EventRecorder(net::Loop& loop, std::unique_ptr<events::EventStore> store, const telemetry::Log& log,
                  telemetry::Metrics& metrics);
    ~EventRecorder();

    // Shows the registry what happened before, and records what happens to it from now on.
    void begin(registry::Registry& registry);

    events::EventLog& log() { return events_; }
    events::EventStore& store() { return *store_; }

private:
    void on_written(const events::EventStore::Written& what);
    void look();

    net::Loop& loop_;
    const telemetry::Log& log_;
    telemetry::Counter& recorded_;
    telemetry::Counter& not_stored_;
    std::unique_ptr<events::EventStore> store_;
    events::Loaded loaded_;
    events::EventLog events_;
    registry::Registry* registry_ = nullptr;
    net::Timer looked_;
    bool failing_ = false;
};

}  // namespace ee::control_plane
