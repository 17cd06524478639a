#pragma once
// Requests of HTTP/2 in the form that the code which serves them knows, judged as strictly as those of
// HTTP/1.1 are: what is passed on could otherwise mean something else to the next server.

#include <string>

#include "http/http2_session.h"
#include "http/message.h"

namespace ee::http {

// Fills `out`, whose views are those of `in`; Host, made of :authority, is the first field. `end`: no body
// follows. Refused with a code of refusal_status(): bad_request (RFC 9113 section 8.3.1: a target that is no
// path, an authority that is absent, malformed or another than Host's; fields that contradict each other),
// head_too_large, unsupported_method, unsupported_expectation.
Result<void> read_request(const Http2Head& in, bool end, RequestHead& out);

// Lets the head outlive what its views point to: replaces `text` with all of it, and points there.
void take_over(RequestHead& head, std::string& text);

}  // namespace ee::http
