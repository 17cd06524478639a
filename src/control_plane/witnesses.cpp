#include "control_plane/witnesses.h"

#include "ledger/witness_proof.h"

namespace ee::control_plane {
namespace {

using namespace std::chrono_literals;

constexpr auto turn_interval = 60s;
// Agents that are looked after at a time; each costs a signature and a proof.
constexpr std::size_t open_max = 64;

std::string_view word_of(ledger::Witnessed::Finding finding) {
    switch (finding) {
        case ledger::Witnessed::Finding::consistent: return "consistent";
        case ledger::Witnessed::Finding::lost: return "lost";
        case ledger::Witnessed::Finding::newer: return "newer";
        case ledger::Witnessed::Finding::differs: return "differs";
    }
    return "";
}

}  // namespace

Witnesses::Witnesses(net::Loop& loop, LedgerService& ledger, const telemetry::Log& log,
                     telemetry::Metrics& metrics)
    : loop_(loop),
      ledger_(ledger),
      log_(log),
      witnessed_(metrics.counter_family("ee_ledger_witnessed_total",
                                        "Checkpoints that agents brought back, by what they show", "result")),
      keys_(std::make_shared<ledger::LoggedKeys>()) {}

std::string Witnesses::newest() const {
    const auto head = ledger_.head();
    return head ? head->note : "";
}

void Witnesses::told(tunnel::Session& session, const std::string& note) {
    if (open_ >= open_max) return;
    Turn& turn = turns_[session.id()];
    if (turn.open || loop_.now() < turn.next_at) return;
    const auto out = std::make_shared<Answer>();
    const bool asked = ledger_.ask(
        [out, keys = keys_, note](const api::LedgerView& view) -> Result<api::Shown> {
            if (auto done = answer(view, *keys, note, *out); !done) return fail(std::move(done.error()));
            return api::Shown{};
        },
        [this, id = session.id(), out](const Result<std::string>& done) {
            --open_;
            if (const auto found = turns_.find(id); found != turns_.end()) found->second.open = false;
            if (done) answered(id, *out);
        });
    if (!asked) return;
    ++open_;
    turn = {.next_at = loop_.now() + turn_interval, .open = true};
}

// On the reading thread.
Result<void> Witnesses::answer(const api::LedgerView& view, ledger::LoggedKeys& keys, const std::string& note,
                               Answer& out) {
    using Finding = ledger::Witnessed::Finding;
    keys.catch_up(view.store);
    const auto tree = view.tree();
    if (!tree) return fail(tree.error());
    auto witnessed = ledger::judge_witnessed(view.store, view.log, **tree, keys, note);
    if (!witnessed) {
        out.refusal = std::move(witnessed.error());
        // An agent of another log begins anew with this one.
        if (out.refusal.code != "checkpoint_other_log") return {};
    } else {
        out.witnessed = *std::move(witnessed);
    }
    const auto head = ledger::newest_head(view.store);
    const std::uint64_t size = out.witnessed.checkpoint.head.size;
    if (!head || out.witnessed.is_fork()) return {};
    if (out.refusal.code.empty() && out.witnessed.finding == Finding::consistent) {
        if (head->head.size <= size) return {};
        const auto path = view.log.consistency(**tree, size, head->head.size);
        if (!path) return fail(path.error());
        out.proof = ledger::write_consistency(size, *path);
    }
    if (out.witnessed.loss) {
        const auto leaf = view.log.prove(**tree, out.witnessed.loss->leaf_index, head->head.size);
        if (!leaf) return fail(leaf.error());
        out.proof = ledger::write_loss(*leaf);
    }
    out.newest = head->note;
    return {};
}

void Witnesses::answered(tunnel::TunnelId id, const Answer& answer) {
    const ledger::Witnessed& witnessed = answer.witnessed;
    const std::string_view word =
        answer.refusal.code.empty() ? word_of(witnessed.finding) : std::string_view(answer.refusal.code);
    witnessed_.count(word);
    tunnel::Session* session = tunnels_->find(id);
    const bool is_here = session != nullptr && session->registration().has_value();
    const std::string_view agent = is_here ? std::string_view(session->registration()->agent_id) : "";
    if (!answer.refusal.code.empty()) {
        log_.warn("witness.ignored", {{"tunnel", id},
                                      {"agent", agent},
                                      {"code", answer.refusal.code},
                                      {"detail", answer.refusal.detail}});
    } else if (witnessed.is_fork()) {
        log_.error("witness.fork", {{"tunnel", id},
                                    {"agent", agent},
                                    {"found", word},
                                    {"witnessed_size", witnessed.checkpoint.head.size},
                                    {"size", witnessed.here.size},
                                    {"checkpoint", witnessed.note}});
        ledger_.witnessed(witnessed);
    }
    // A ledger that is not written to has nothing newer to tell.
    if (session != nullptr && !answer.newest.empty() && ledger_.head())
        session->tell_checkpoint(answer.newest, answer.proof);
}

}  // namespace ee::control_plane
