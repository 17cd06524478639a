#pragma once
// Quotes take their time, and are made beside the loop.

#include <functional>

#include "attestation/quote_provider.h"
#include "attestation/report_data.h"
#include "net/loop.h"
#include "net/worker_pool.h"

namespace ee::agent {

// Calls back once, on the loop's thread; who asked may be gone by then. False, and no call, when too much
// waits for the workers. All three must outlive the callback.
bool quote_on_worker(net::Loop& loop, net::WorkerPool& workers, attestation::QuoteProvider& provider,
                     const attestation::ReportData& report_data, std::function<void(Result<Bytes>)> on_quote);

}  // namespace ee::agent
