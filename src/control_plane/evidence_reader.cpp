#include "control_plane/evidence_reader.h"

#include <algorithm>

#include "attestation/evidence_json.h"
#include "base/base64.h"

namespace ee::control_plane {
namespace {

// Questions that wait for the reading thread.
constexpr std::size_t waiting_max = 64;
// A page ends with the piece of evidence that takes it over this.
constexpr std::size_t page_bytes_max = 2 * 1024 * 1024;

bool is_collateral(std::string_view kind) {
    return kind != "allowlist" && kind != "policy";
}

// The media type of a part of collateral (RFC 2585, RFC 8555).
std::string_view media_type_of(std::string_view part) {
    if (part.ends_with("_crl")) return "application/pkix-crl";
    if (part.ends_with("_issuer_chain")) return "application/pem-certificate-chain";
    if (part.ends_with("_signature")) return "application/octet-stream";
    return "application/json";
}

// A page as it grows.
struct Page {
    attestation::EvidencePage content{};
    std::size_t bytes = 0;

    bool is_full(std::size_t limit) const { return content.items.size() >= limit || bytes >= page_bytes_max; }
};

Result<void> add(Page& page, const api::EvidenceQuestion& question, const registry::EvidenceStore& store,
                 registry::StoredEvidence evidence) {
    const auto references = store.references_of(evidence.seq);
    if (!references) return fail(references.error());
    for (const registry::ContentName& name : *references) {
        const bool wanted = name.kind == "policy" || (name.kind == "allowlist" && question.with_allowlist) ||
                            (is_collateral(name.kind) && question.with_collateral);
        if (!wanted || page.content.contents.contains(name.sha256)) continue;
        auto found = store.content(name.sha256);
        if (!found) return fail(std::move(found.error()));
        if (!*found) continue;  // Pruned since.
        page.bytes += base64_size((*found)->bytes.size());
        page.content.contents.emplace(
            name.sha256, attestation::EvidenceContent{(*found)->kind, std::move((*found)->bytes)});
    }
    page.bytes += evidence.json.size();
    page.content.items.push_back(std::move(evidence.json));
    return {};
}

}  // namespace

EvidenceReader::EvidenceReader(net::Loop& loop, const registry::EvidenceStore& store, std::string log_id,
                               const attestation::Appraiser& appraiser)
    : loop_(loop),
      store_(store),
      log_id_(std::move(log_id)),
      appraiser_(appraiser),
      thread_(1, waiting_max) {}

bool EvidenceReader::is_public(std::string_view network) const {
    const auto policies = appraiser_.policies();
    const attestation::NetworkPolicy* policy = policies->find(network);
    return policy != nullptr && policy->evidence == attestation::EvidenceVisibility::public_;
}

bool EvidenceReader::run(std::function<Result<api::EvidenceAnswer>()> read, OnAnswer on_answer) {
    return thread_.run([&loop = loop_, read = std::move(read), on_answer = std::move(on_answer)] {
        loop.post([on_answer, answer = read()] { on_answer(answer); });
    });
}

bool EvidenceReader::ask(api::EvidenceQuestion question, OnAnswer on_answer) {
    return run([this, question = std::move(question)] { return page(question); }, std::move(on_answer));
}

bool EvidenceReader::ask_collateral(std::string sha256, OnAnswer on_answer) {
    return run([this, sha256 = std::move(sha256)] { return collateral(sha256); }, std::move(on_answer));
}

Result<api::EvidenceAnswer> EvidenceReader::page(const api::EvidenceQuestion& question) const {
    Page page{.content = {.app_name = question.app_name, .log_id = log_id_}};
    const auto done = [&page] {
        return api::EvidenceAnswer{"application/json", attestation::evidence_page_json(page.content)};
    };
    if (!question.id.empty()) {
        auto found = store_.find(question.app_name, question.id, question.now);
        if (!found) return fail(std::move(found.error()));
        if (!*found)
            return fail("unknown_evidence", "no evidence of the last 24 hours has the id " + question.id);
        if (auto added = add(page, question, store_, std::move(**found)); !added)
            return fail(std::move(added.error()));
        return done();
    }
    std::vector<std::string> agents;
    for (const std::string& agent_id : question.agent_ids)
        agents.push_back(attestation::hashed_agent_id(log_id_, agent_id));
    std::sort(agents.begin(), agents.end());
    std::string last;
    for (auto agent = std::upper_bound(agents.begin(), agents.end(), question.after); agent != agents.end();
         ++agent) {
        if (page.is_full(question.limit)) {
            page.content.next_cursor = to_base64(as_bytes(last));
            break;
        }
        auto found = store_.newest(question.app_name, *agent);
        if (!found) return fail(std::move(found.error()));
        last = *agent;
        if (!*found) continue;
        if (auto added = add(page, question, store_, std::move(**found)); !added)
            return fail(std::move(added.error()));
    }
    return done();
}

Result<api::EvidenceAnswer> EvidenceReader::collateral(const std::string& sha256) const {
    auto found = store_.content(sha256);
    if (!found) return fail(std::move(found.error()));
    if (!*found || !is_collateral((*found)->kind))
        return fail("unknown_collateral", "no kept collateral has the SHA-256 " + sha256);
    return api::EvidenceAnswer{std::string(media_type_of((*found)->kind)),
                               std::string(as_text((*found)->bytes))};
}

}  // namespace ee::control_plane
