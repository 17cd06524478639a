#pragma once
// Counters, gauges and histograms in Prometheus' text format. Handles are looked up once, when the program is
// put together; after that an increment is one relaxed atomic.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ee::telemetry {

class Counter {
public:
    void add(std::uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

class Gauge {
public:
    void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
    void add(std::int64_t amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
    std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::int64_t> value_{0};
};

// Counts observations at or under each bound. Bounds are ascending, in the unit the name ends with.
class Histogram {
public:
    explicit Histogram(std::span<const double> bounds);

    void observe(double value);
    std::uint64_t count() const;

private:
    friend class Metrics;
    std::vector<double> bounds_;
    std::vector<std::atomic<std::uint64_t>> buckets_;  // One more than bounds: the last is +Inf.
    std::atomic<double> sum_{0};
};

// 0.5 ms to 30 s, for requests and verifications.
std::span<const double> duration_bounds_s();

using Label = std::pair<std::string_view, std::string_view>;
using Labels = std::initializer_list<Label>;

// Counters told apart by one label whose values come up at run time, e.g. refusal codes. At most
// `series_max` values get a counter of their own, the rest share "other". A suffix after ':' is cut off, so
// "invalid_field:app_name" counts as "invalid_field". Takes a lock: for refusals, not for every request.
class CounterFamily {
public:
    explicit CounterFamily(std::size_t series_max) : series_max_(series_max) {}

    void count(std::string_view label_value);
    std::uint64_t value(std::string_view label_value) const;

private:
    friend class Metrics;
    std::vector<std::pair<std::string, std::uint64_t>> snapshot() const;

    const std::size_t series_max_;
    mutable std::mutex mutex_;
    std::vector<std::pair<std::string, std::uint64_t>> series_;
};

// Owns every metric of the process. Handles live as long as it does. Asking again for the same name and
// labels gives the same handle; the same name as another type is our own bug.
class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    // Names follow Prometheus: [a-zA-Z_:][a-zA-Z0-9_:]*; counters end in _total, durations in _seconds.
    Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
    Histogram& histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                         Labels labels = {});
    CounterFamily& counter_family(std::string_view name, std::string_view help, std::string_view label,
                                  std::size_t series_max = 128);

    // Prometheus text format 0.0.4, families in order of first registration.
    std::string render() const;

    static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

private:
    struct Family;
    Family& family(std::string_view name, std::string_view help, int kind);

    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Family>> families_;
};

// Counters told apart by the class of an HTTP status: class="1xx" to "5xx".
class StatusCounters {
public:
    StatusCounters(Metrics& metrics, std::string_view name, std::string_view help);

    void count(int status) { classes_[static_cast<std::size_t>(std::clamp(status / 100, 1, 5) - 1)]->add(); }
    // Of all classes.
    std::uint64_t value() const;

private:
    std::array<Counter*, 5> classes_{};
};

}  // namespace ee::telemetry
