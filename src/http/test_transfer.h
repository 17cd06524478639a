#pragma once
// A handler whose exchanges a test drives, and what it heard of each.

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "http/exchange.h"

namespace ee::http {

// Counts itself for as long as it is kept.
struct CountedClaim final : Claim {
    explicit CountedClaim(int& count) : count_(count) { ++count_; }
    ~CountedClaim() override { --count_; }
    int& count_;
};

// The server's side of one request: notes what comes, and consumes it at once unless told not to.
struct Transfer final : ExchangeObserver {
    explicit Transfer(Exchange& asked) : exchange(&asked) { asked.set_observer(this); }
    void on_visitor_gone() override {
        ++gone;
        exchange = nullptr;
    }
    void on_body(std::string_view bytes) override {
        received += bytes.size();
        if (keeps) body.append(bytes);
        unconsumed += bytes.size();
        unconsumed_most = std::max(unconsumed_most, unconsumed);
        if (consumes) consume();
        if (on_piece) on_piece();
    }
    void on_body_end(std::span<const Field> fields) override {
        ++ended;
        for (const Field& field : fields)
            trailers.push_back({std::string(field.name), std::string(field.value)});
        if (on_end) on_end();
    }
    void on_written(std::size_t bytes) override {
        written += bytes;
        if (on_room) on_room();
    }
    void consume() { exchange->body_consumed(std::exchange(unconsumed, 0)); }
    void respond(int status, std::string_view text) {
        std::exchange(exchange, nullptr)->respond(status, {}, text);
    }
    void finish(std::span<const Field> fields = {}) { std::exchange(exchange, nullptr)->finish(fields); }

    Exchange* exchange;
    bool consumes = true, keeps = true;
    std::string body;
    std::uint64_t received = 0, written = 0;
    std::size_t unconsumed = 0, unconsumed_most = 0;
    std::vector<OwnedField> trailers;
    int gone = 0, ended = 0;
    std::function<void()> on_piece, on_end, on_room;
};

struct StreamingHandler final : RequestHandler {
    BodyTerms body_terms(const RequestHead&, const net::Endpoint&) override { return {body_max, true}; }
    void on_request(Exchange& exchange) override {
        wholes.emplace_back(exchange.body());
        auto& transfer = *transfers.emplace_back(std::make_unique<Transfer>(exchange));
        if (serve) return serve(transfer);
        if (!exchange.body_follows()) return transfer.respond(200, "no body");
        exchange.take_body();
    }
    std::string on_refused(const Refusal& refusal) override {
        refused.push_back(std::to_string(refusal.status) + " " + refusal.why.code);
        return refusal.request_id.empty() ? "id" : std::string(refusal.request_id);
    }

    std::size_t body_max = 1ull << 40;
    std::function<void(Transfer&)> serve;
    std::vector<std::unique_ptr<Transfer>> transfers;
    std::vector<std::string> wholes, refused;
};

}  // namespace ee::http
