#include "api/ledger_request.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "base/time.h"
#include "http/fields.h"
#include "http/target.h"

namespace ee::api {
namespace {

constexpr std::size_t limit_max = 500;

ledger::Role ledger_role(Role role) {
    switch (role) {
        case Role::admin: return ledger::Role::admin;
        case Role::launcher: return ledger::Role::launcher;
        case Role::uptime: return ledger::Role::uptime;
        case Role::auditor: return ledger::Role::auditor;
        case Role::app: return ledger::Role::app;
        default: return ledger::Role::holder;
    }
}

ledger::Caller ledger_caller(const Request& request) {
    return {.role = ledger_role(request.caller.role),
            .token = request.caller.token,
            .address = request.services.ledger.salted(request.visitor.client),
            .app = request.caller.app};
}

void reply(Request& request, ledger::Reply reply, const std::string& secret) {
    const http::Field replayed{"Idempotency-Replayed", "true"};
    if (reply.refusal) return request.refuse(*reply.refusal, {&replayed, 1});
    if (!reply.secret.empty()) {
        reply.body.pop_back();
        reply.body.append(reply.body.size() > 1 ? "," : "");
        append_json_string(reply.body, reply.secret);
        reply.body.push_back(':');
        if (reply.replayed)
            reply.body.append(R"(null,"secret_omitted":true)");
        else
            append_json_string(reply.body, secret);
        reply.body.push_back('}');
    }
    request.reply(reply.status, "application/json", reply.body,
                  std::span(&replayed, reply.replayed ? std::size_t{1} : std::size_t{0}));
}

}  // namespace

Result<std::string> idempotency_key(const Request& request) {
    const auto& fields = request.exchange.head().fields;
    const auto field = http::find(fields, "idempotency-key");
    if (!field) return std::string();
    const auto count = std::ranges::count_if(
        fields, [](const http::Field& one) { return http::iequals(one.name, "idempotency-key"); });
    const bool is_sane = count == 1 && !field->empty() && field->size() <= ledger::idempotency_key_max &&
                         std::ranges::all_of(*field, [](char c) { return c > ' ' && c < '\x7f'; });
    if (!is_sane)
        return fail("invalid_field:idempotency_key",
                    "an Idempotency-Key is there once, 1 to 128 visible ASCII characters");
    return std::string(*field);
}

// What was found out of the token only now.
void refuse_call(Request& request, const Error& why) {
    if (why.code != "unauthorized") return request.refuse(why);
    Services& services = request.services;
    request.refuse(services.access.refuse_wrong(request.visitor.client, services.loop.now()));
}

ledger::Request ledger_request(const Request& request) {
    const http::RequestHead& head = request.exchange.head();
    return {.caller = ledger_caller(request),
            .idempotency_key = {},
            .method = std::string(head.method),
            .path = std::string(http::split_origin_form(head.origin_form).path),
            .request_id = std::string(request.request_id),
            .content = crypto::sha256(as_bytes(request.exchange.body())),
            .command = {}};
}

void run_command(Request& request, ledger::Command command, std::string secret) {
    auto key = idempotency_key(request);
    if (!key) return request.refuse(key.error());
    ledger::Request asked = ledger_request(request);
    asked.idempotency_key = *std::move(key);
    asked.command = std::move(command);
    const Complete complete = answer_later(request);
    request.services.ledger.run(std::move(asked),
                                [complete, secret = std::move(secret)](Result<ledger::Reply> answer) {
                                    complete([&](Request& pending) {
                                        if (!answer) return refuse_call(pending, answer.error());
                                        reply(pending, *std::move(answer), secret);
                                    });
                                });
}

void show_public(Request& request, LedgerDoor::Question question) {
    const Complete complete = answer_later(request);
    const bool asked =
        request.services.ledger.ask(std::move(question), [complete](Result<std::string> answer) {
            complete([&](Request& pending) {
                if (!answer) return refuse_call(pending, answer.error());
                pending.reply_json(200, *answer);
            });
        });
    if (!asked) complete([](Request& pending) { pending.refuse({"overloaded", "too many questions wait"}); });
}

void show(Request& request, std::function<Result<Shown>(const ledger::Views&)> question) {
    show_public(request,
                [caller = ledger_caller(request),
                 question = std::move(question)](const LedgerView& view) -> Result<Shown> {
                    const auto views = ledger::Views::open(view.store, view.rules, caller, view.now);
                    if (!views) return fail(views.error());
                    return question(*views);
                });
}

void refuse_caller(Request& request, const Error& why) {
    const auto holder = request.services.access.holder_token(request.exchange.head());
    if (why.code != "forbidden" || !holder) return request.refuse(why);
    request.caller = {.role = Role::holder, .token = *holder};
    show(request, [why](const ledger::Views&) -> Result<Shown> { return fail(why); });
}

NewToken make_token(std::string_view prefix) {
    std::string token(prefix);
    token += to_hex(crypto::random_bytes<32>());
    const crypto::Sha256 hash = crypto::sha256(as_bytes(token));
    return {std::move(token), hash};
}

Result<std::optional<std::uint64_t>> number_in(std::string_view query, std::string_view name) {
    const auto text = http::query_parameter(query, name);
    if (!text) return fail(text.error());
    if (!*text) return std::optional<std::uint64_t>();
    std::uint64_t out = 0;
    const char* const end = (*text)->data() + (*text)->size();
    const auto [stop, error] = std::from_chars((*text)->data(), end, out);
    if (error != std::errc{} || stop != end)
        return fail(fmt::format("invalid_parameter:{}", name),
                    fmt::format("{} must be a whole number, not negative", name));
    return std::optional(out);
}

Result<ledger::Page> page_of(std::string_view query) {
    ledger::Page page;
    const auto limit = number_in(query, "limit");
    if (!limit) return fail(limit.error());
    if (*limit) {
        if (**limit < 1 || **limit > limit_max)
            return fail("invalid_parameter:limit", "limit must be 1 to " + std::to_string(limit_max));
        page.limit = **limit;
    }
    const auto cursor = http::query_parameter(query, "cursor");
    if (!cursor) return fail(cursor.error());
    if (*cursor && !append_from_base64(page.after, **cursor))
        return fail("invalid_cursor", "the cursor is not one of ours");
    return page;
}

std::optional<ledger::LedgerTime> ledger_time(std::string_view text) {
    const auto time = from_rfc3339(text);
    if (!time) return std::nullopt;
    ledger::LedgerTime out{std::chrono::floor<std::chrono::seconds>(*time)};
    constexpr std::size_t point = 19;  // behind the seconds, if there is one
    std::chrono::microseconds place{100'000};
    for (std::size_t i = point + 1; text[point] == '.' && i + 1 < text.size(); ++i, place /= 10)
        out += (text[i] - '0') * place;
    return out;
}

Result<std::uint64_t> id_in(std::string_view text, std::string_view code) {
    std::uint64_t id = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || stop != text.data() + text.size())
        return fail(std::string(code), "an id is a whole number");
    return id;
}

}  // namespace ee::api
