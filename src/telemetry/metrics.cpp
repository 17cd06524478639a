#include "telemetry/metrics.h"

#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "base/check.h"

namespace ee::telemetry {
namespace {

constexpr double bounds_s[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                               0.25,   0.5,   1,      2.5,   5,    10,    30};

bool is_metric_name(std::string_view name) {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    if (name.empty() || !(is_letter(name.front()) || name.front() == ':')) return false;
    return std::all_of(name.begin(), name.end(),
                       [&](char c) { return is_letter(c) || c == ':' || (c >= '0' && c <= '9'); });
}

// Text format 0.0.4: backslash, quote and line feed are escaped in label values, the quote not in help.
void append_escaped(std::string& out, std::string_view text, bool escape_quote) {
    for (const char c : text) {
        if (c == '\\')
            out += "\\\\";
        else if (c == '\n')
            out += "\\n";
        else if (c == '"' && escape_quote)
            out += "\\\"";
        else
            out += c;
    }
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
    if (!out.empty()) out += ',';
    out += name;
    out += "=\"";
    append_escaped(out, value, true);
    out += '"';
}

std::string render_labels(Labels labels) {
    std::string out;
    for (const auto& [name, value] : labels) {
        EE_CHECK(is_metric_name(name));
        append_label(out, name, value);
    }
    return out;
}

template <class Value>
void append_sample(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
                   Value value) {
    out += name;
    out += suffix;
    if (!labels.empty()) {
        out += '{';
        out += labels;
        out += '}';
    }
    fmt::format_to(std::back_inserter(out), " {}\n", value);
}

enum Kind : int { counter_kind, gauge_kind, histogram_kind, counter_family_kind };

constexpr std::string_view kind_names[] = {"counter", "gauge", "histogram", "counter"};

template <class Metric>
struct Series {
    template <class... Args>
    explicit Series(std::string label_text, Args&&... args)
        : labels(std::move(label_text)), metric(std::forward<Args>(args)...) {}

    std::string labels;
    Metric metric;
};

// A deque never moves what it holds, so handles stay good.
template <class Metric, class... Args>
Metric& find_or_add(std::deque<Series<Metric>>& series, std::string labels, Args&&... args) {
    for (auto& entry : series)
        if (entry.labels == labels) return entry.metric;
    return series.emplace_back(std::move(labels), std::forward<Args>(args)...).metric;
}

}  // namespace

struct Metrics::Family {
    std::string name;
    std::string help;
    int kind = counter_kind;
    std::deque<Series<Counter>> counters;
    std::deque<Series<Gauge>> gauges;
    std::deque<Series<Histogram>> histograms;
    std::string label;  // Of counters told apart at run time.
    std::unique_ptr<CounterFamily> counter_family;
};

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(bounds.size() + 1) {
    EE_CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double value) {
    const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    buckets_[static_cast<std::size_t>(bound - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
    std::uint64_t count = 0;
    for (const auto& bucket : buckets_) count += bucket.load(std::memory_order_relaxed);
    return count;
}

std::span<const double> duration_bounds_s() {
    return bounds_s;
}

void CounterFamily::count(std::string_view label_value) {
    const std::string_view value = label_value.substr(0, label_value.find(':'));
    const std::lock_guard lock(mutex_);
    const auto find = [this](std::string_view wanted) {
        return std::find_if(series_.begin(), series_.end(),
                            [&](const auto& entry) { return entry.first == wanted; });
    };
    auto found = find(value);
    if (found == series_.end() && series_.size() >= series_max_) found = find("other");
    if (found == series_.end()) {
        // The place after the last is kept for "other".
        series_.emplace_back(series_.size() < series_max_ ? value : "other", 0);
        found = std::prev(series_.end());
    }
    ++found->second;
}

std::uint64_t CounterFamily::value(std::string_view label_value) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [value, count] : series_)
        if (value == label_value) return count;
    return 0;
}

std::vector<std::pair<std::string, std::uint64_t>> CounterFamily::snapshot() const {
    const std::lock_guard lock(mutex_);
    return series_;
}

Metrics::Metrics() = default;
Metrics::~Metrics() = default;

Metrics::Family& Metrics::family(std::string_view name, std::string_view help, int kind) {
    for (const auto& existing : families_) {
        if (existing->name != name) continue;
        EE_CHECK(existing->kind == kind);
        return *existing;
    }
    EE_CHECK(is_metric_name(name));
    auto& added = *families_.emplace_back(std::make_unique<Family>());
    added.name = name;
    added.help = help;
    added.kind = kind;
    return added;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, Labels labels) {
    const std::lock_guard lock(mutex_);
    return find_or_add(family(name, help, counter_kind).counters, render_labels(labels));
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, Labels labels) {
    const std::lock_guard lock(mutex_);
    return find_or_add(family(name, help, gauge_kind).gauges, render_labels(labels));
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                              Labels labels) {
    const std::lock_guard lock(mutex_);
    return find_or_add(family(name, help, histogram_kind).histograms, render_labels(labels), bounds);
}

CounterFamily& Metrics::counter_family(std::string_view name, std::string_view help, std::string_view label,
                                       std::size_t series_max) {
    EE_CHECK(is_metric_name(label));
    const std::lock_guard lock(mutex_);
    Family& found = family(name, help, counter_family_kind);
    if (!found.counter_family) {
        found.label = label;
        found.counter_family = std::make_unique<CounterFamily>(series_max);
    }
    EE_CHECK(found.label == label);
    return *found.counter_family;
}

std::string Metrics::render() const {
    const std::lock_guard lock(mutex_);
    std::string out;
    const auto append_histogram = [&out](const Family& family, const Series<Histogram>& series) {
        const Histogram& histogram = series.metric;
        std::uint64_t cumulative = 0;
        for (std::size_t i = 0; i < histogram.buckets_.size(); ++i) {
            cumulative += histogram.buckets_[i].load(std::memory_order_relaxed);
            std::string labels = series.labels;
            append_label(labels, "le",
                         i < histogram.bounds_.size() ? fmt::format("{}", histogram.bounds_[i]) : "+Inf");
            append_sample(out, family.name, "_bucket", labels, cumulative);
        }
        append_sample(out, family.name, "_sum", series.labels,
                      histogram.sum_.load(std::memory_order_relaxed));
        append_sample(out, family.name, "_count", series.labels, cumulative);
    };
    for (const auto& family : families_) {
        fmt::format_to(std::back_inserter(out), "# HELP {} ", family->name);
        append_escaped(out, family->help, false);
        fmt::format_to(std::back_inserter(out), "\n# TYPE {} {}\n", family->name, kind_names[family->kind]);
        for (const auto& series : family->counters)
            append_sample(out, family->name, "", series.labels, series.metric.value());
        for (const auto& series : family->gauges)
            append_sample(out, family->name, "", series.labels, series.metric.value());
        for (const auto& series : family->histograms) append_histogram(*family, series);
        if (!family->counter_family) continue;
        for (const auto& [value, count] : family->counter_family->snapshot()) {
            std::string labels;
            append_label(labels, family->label, value);
            append_sample(out, family->name, "", labels, count);
        }
    }
    return out;
}

StatusCounters::StatusCounters(Metrics& metrics, std::string_view name, std::string_view help) {
    for (std::size_t i = 0; i < classes_.size(); ++i)
        classes_[i] = &metrics.counter(name, help, {{"class", fmt::format("{}xx", i + 1)}});
}

std::uint64_t StatusCounters::value() const {
    std::uint64_t sum = 0;
    for (const Counter* counter : classes_) sum += counter->value();
    return sum;
}

}  // namespace ee::telemetry
