#pragma once
// From a request to the ledger and back, the same way for every endpoint.

#include "api/json_body.h"
#include "api/ledger_door.h"
#include "api/pending_answer.h"
#include "api/request.h"

namespace ee::api {

// Runs the command and answers with its reply: receipt, replay header, and `secret` under the name that the
// ledger says, made for a first answer and null in a replay.
void run_command(Request& request, ledger::Command command, std::string secret = {});

// The value of Idempotency-Key; empty: there is none. `invalid_field:idempotency_key`.
Result<std::string> idempotency_key(const Request& request);

// Who asks, for what, under which request id; without a key of idempotency, and without a command.
ledger::Request ledger_request(const Request& request);

// The ledger's refusal of a call; a token that is nobody's counts as a wrong one.
void refuse_call(Request& request, const Error& why);

// What the access check refused: an account's or a node's token where neither may call is forbidden, one that
// is nobody's a wrong one.
void refuse_caller(Request& request, const Error& why);

// Refuses what the body's reading found, first.
template <class Make>
void run_body(Request& request, Make make) {
    JsonBody body(request.exchange.body());
    ledger::Command command = make(body);
    if (const auto refusal = body.refusal()) return request.refuse(*refusal);
    run_command(request, std::move(command));
}

// Answers with what the views show the caller.
void show(Request& request, std::function<Result<Shown>(const ledger::Views&)> question);
// The same for questions that are everybody's.
void show_public(Request& request, LedgerDoor::Question question);

// A new token of an account, a node or an app, and its hash.
struct NewToken {
    std::string token;
    crypto::Sha256 hash;
};
NewToken make_token(std::string_view prefix = holder_token_prefix);

// `limit` and `cursor`: `invalid_parameter:limit`, `invalid_cursor`.
Result<ledger::Page> page_of(std::string_view query);
// A number in the query: `invalid_parameter:<name>`; nullopt: absent.
Result<std::optional<std::uint64_t>> number_in(std::string_view query, std::string_view name);
// As from_rfc3339() takes it, to the microsecond, which is what the ledger's times are in.
std::optional<ledger::LedgerTime> ledger_time(std::string_view text);
// An id in a path is a number; anything else names nothing: `code`.
Result<std::uint64_t> id_in(std::string_view text, std::string_view code);

}  // namespace ee::api
