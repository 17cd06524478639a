#include "telemetry/metrics.h"

#include <gmock/gmock.h>
#include <thread>

#include <gtest/gtest.h>

namespace ee::telemetry {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, RendersCountersAndGaugesWithHelpTypeAndLabels) {
    Metrics metrics;
    metrics.counter("ee_requests_total", "Requests.", {{"listener", "proxy"}, {"class", "2xx"}}).add(3);
    metrics.counter("ee_requests_total", "Requests.", {{"listener", "control"}, {"class", "2xx"}}).add();
    Gauge& tunnels = metrics.gauge("ee_tunnels", "Open tunnels.");
    tunnels.set(5);
    tunnels.add(-7);
    EXPECT_EQ(metrics.render(),
              "# HELP ee_requests_total Requests.\n"
              "# TYPE ee_requests_total counter\n"
              "ee_requests_total{listener=\"proxy\",class=\"2xx\"} 3\n"
              "ee_requests_total{listener=\"control\",class=\"2xx\"} 1\n"
              "# HELP ee_tunnels Open tunnels.\n"
              "# TYPE ee_tunnels gauge\n"
              "ee_tunnels -2\n");
}

TEST(Metrics, RendersHistogramsCumulatively) {
    Metrics metrics;
    const double bounds[] = {0.5, 2};
    Histogram& wait = metrics.histogram("ee_wait_seconds", "Waits.", bounds, {{"app", "a"}});
    for (const double value : {0.25, 0.5, 1.0, 4.0}) wait.observe(value);
    EXPECT_EQ(wait.count(), 4u);
    EXPECT_EQ(metrics.render(),
              "# HELP ee_wait_seconds Waits.\n"
              "# TYPE ee_wait_seconds histogram\n"
              "ee_wait_seconds_bucket{app=\"a\",le=\"0.5\"} 2\n"
              "ee_wait_seconds_bucket{app=\"a\",le=\"2\"} 3\n"
              "ee_wait_seconds_bucket{app=\"a\",le=\"+Inf\"} 4\n"
              "ee_wait_seconds_sum{app=\"a\"} 5.75\n"
              "ee_wait_seconds_count{app=\"a\"} 4\n");
}

TEST(Metrics, StatusesAreCountedByTheirClass) {
    Metrics metrics;
    StatusCounters answers(metrics, "ee_answers_total", "Answers.");
    for (const int status : {101, 200, 204, 299, 404, 499, 500, 0, 999}) answers.count(status);
    EXPECT_EQ(answers.value(), 9u);
    EXPECT_EQ(metrics.render(),
              "# HELP ee_answers_total Answers.\n"
              "# TYPE ee_answers_total counter\n"
              "ee_answers_total{class=\"1xx\"} 2\n"
              "ee_answers_total{class=\"2xx\"} 3\n"
              "ee_answers_total{class=\"3xx\"} 0\n"
              "ee_answers_total{class=\"4xx\"} 2\n"
              "ee_answers_total{class=\"5xx\"} 2\n");
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameHandle) {
    Metrics metrics;
    Counter& first = metrics.counter("ee_a_total", "A.", {{"x", "1"}});
    std::vector<Counter*> others;
    for (int i = 0; i < 100; ++i)
        others.push_back(&metrics.counter("ee_a_total", "A.", {{"x", std::to_string(i + 2)}}));
    EXPECT_EQ(&first, &metrics.counter("ee_a_total", "A.", {{"x", "1"}}));
    EXPECT_EQ(others[50], &metrics.counter("ee_a_total", "A.", {{"x", "52"}}));
    EXPECT_NE(&first, others[0]);
}

TEST(Metrics, HelpAndLabelValuesAreEscaped) {
    Metrics metrics;
    metrics.counter("ee_a_total", "A \"b\" \\ \n c.", {{"x", "a\"b\\c\nd"}});
    EXPECT_EQ(metrics.render(),
              "# HELP ee_a_total A \"b\" \\\\ \\n c.\n"
              "# TYPE ee_a_total counter\n"
              "ee_a_total{x=\"a\\\"b\\\\c\\nd\"} 0\n");
}

TEST(Metrics, RefusalCodesLoseTheirSuffix) {
    Metrics metrics;
    CounterFamily& refusals = metrics.counter_family("ee_refusals_total", "Refusals by code.", "code");
    refusals.count("invalid_field:app_name");
    refusals.count("invalid_field:repo");
    refusals.count("nonce_mismatch");
    EXPECT_EQ(refusals.value("invalid_field"), 2u);
    EXPECT_EQ(refusals.value("register_timeout"), 0u);
    EXPECT_EQ(metrics.render(),
              "# HELP ee_refusals_total Refusals by code.\n"
              "# TYPE ee_refusals_total counter\n"
              "ee_refusals_total{code=\"invalid_field\"} 2\n"
              "ee_refusals_total{code=\"nonce_mismatch\"} 1\n");
}

TEST(Metrics, LabelValuesBeyondTheLimitShareOneSeries) {
    Metrics metrics;
    CounterFamily& family = metrics.counter_family("ee_x_total", "X.", "code", 3);
    for (int i = 0; i < 1000; ++i) family.count("code" + std::to_string(i));
    family.count("code0");
    EXPECT_EQ(family.value("code0"), 2u);
    EXPECT_EQ(family.value("code2"), 1u);
    EXPECT_EQ(family.value("other"), 997u);
    EXPECT_THAT(metrics.render(), Not(HasSubstr("code3")));
}

TEST(Metrics, IncrementsOfSeveralThreadsAllCount) {
    Metrics metrics;
    Counter& counter = metrics.counter("ee_a_total", "A.");
    Histogram& histogram = metrics.histogram("ee_b_seconds", "B.", duration_bounds_s());
    CounterFamily& family = metrics.counter_family("ee_c_total", "C.", "code");
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                for (int i = 0; i < 1000; ++i) {
                    counter.add();
                    histogram.observe(1);
                    family.count("x");
                    if (i % 100 == 0) {
                        EXPECT_THAT(metrics.render(), HasSubstr("ee_a_total "));
                    }
                }
            });
    }
    EXPECT_EQ(counter.value(), 4000u);
    EXPECT_EQ(histogram.count(), 4000u);
    EXPECT_EQ(family.value("x"), 4000u);
    EXPECT_THAT(metrics.render(), HasSubstr("ee_b_seconds_sum 4000\n"));
}

TEST(MetricsDeathTest, ANameCannotBeTwoKindsOfMetricNorBadlySpelled) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Metrics metrics;
    metrics.counter("ee_a_total", "A.");
    EXPECT_DEATH(metrics.gauge("ee_a_total", "A."), "kind");
    EXPECT_DEATH(metrics.counter("ee-a", "A."), "is_metric_name");
    EXPECT_DEATH(metrics.counter("1a", "A."), "is_metric_name");
    EXPECT_DEATH(metrics.counter("ee_b_total", "B.", {{"a b", "c"}}), "is_metric_name");
}

}  // namespace
}  // namespace ee::telemetry
