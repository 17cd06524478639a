#include "agent/quote_on_worker.h"

namespace ee::agent {

bool quote_on_worker(net::Loop& loop, net::WorkerPool& workers, attestation::QuoteProvider& provider,
                     const attestation::ReportData& report_data,
                     std::function<void(Result<Bytes>)> on_quote) {
    return workers.run([&loop, &provider, report_data, on_quote = std::move(on_quote)] {
        loop.post([on_quote, quote = provider.quote(report_data)]() mutable { on_quote(std::move(quote)); });
    });
}

}  // namespace ee::agent
