#include "control_plane/ledger_service.h"

#include <fmt/format.h>

#include "attestation/report_data.h"
#include "control_plane/ledger_key.h"
#include "control_plane/own_quote.h"
#include "ledger/sqlite/sqlite_store.h"

namespace ee::control_plane {
namespace {

// Questions that wait; each has an answer of at most 500 items.
constexpr std::size_t questions_max = 4096;
// For collateral of the own quote, at the start.
constexpr std::chrono::seconds collateral_wait_max{15};

// In a TEE: a key that lives in memory, bound by a quote. Outside: the one in the file, which nothing
// attests.
Result<ledger::LogKey> make_log_key(const config::ControlPlaneConfig& config,
                                    const ledger::LogIdentity& identity, const ledger::TreeHead& last,
                                    const attestation::TrustAnchors& anchors,
                                    attestation::CollateralSource& collateral, const telemetry::Log& log) {
    auto provider = own_quote_provider(config);
    if (!provider) return fail(std::move(provider.error()));
    if (!*provider) {
        auto key = load_or_make_ledger_key(config.ledger_key_file, log);
        if (!key) return fail(std::move(key.error()));
        return ledger::LogKey{.key = *std::move(key), .repo = config.repo, .release_tag = config.release_tag};
    }
    ledger::LogKey out{.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519)};
    out.repo = config.repo;
    out.release_tag = config.release_tag;
    const ByteArray<32> public_key = out.key.public_bytes();
    const attestation::ReportData report_data = attestation::report_data_control(
        attestation::log_key_nonce(identity.log_id, last.size, last.root), {.tls_spki_sha256 = {},
                                                                            .ledger_public_key = public_key,
                                                                            .log_id = identity.log_id,
                                                                            .repo = out.repo,
                                                                            .release_tag = out.release_tag});
    auto quote = make_own_quote(**provider, report_data, anchors, collateral, collateral_wait_max, log);
    if (!quote) return fail(std::move(quote.error()));
    out.quote = std::move(quote->quote);
    out.collateral = std::move(quote->collateral);
    return out;
}

ledger::Rules rules_of(const config::ControlPlaneConfig& config) {
    return {.grid = config.settles_by_day ? ledger::Grid::day : ledger::Grid::hour,
            .lock_ahead = config.lock_ahead,
            .usage_requires_lock = config.usage_requires_lock,
            .slash_auto = config.slashes_by_itself};
}

}  // namespace

Result<PreparedLedger> prepare_ledger(const config::ControlPlaneConfig& config, const std::string& log_id,
                                      sqlite::Writers& writers, const attestation::TrustAnchors& anchors,
                                      attestation::CollateralSource& collateral, const telemetry::Log& log) {
    auto store = ledger::SqliteStore::open(config.db_path, writers);
    if (!store) return fail(std::move(store.error()));
    ledger::LedgerWorker::Settings settings{.rules = rules_of(config)};
    settings.if_new = {.log_id = log_id, .salt_secret = crypto::random_bytes<32>()};
    settings.settle_auto = config.settles_by_itself;
    settings.settle_delay = config.settle_delay;
    settings.awaits_evidence = true;
    const auto clock = std::make_shared<LedgerClock>([&log](std::chrono::seconds ahead) {
        log.warn("ledger.clock_doubted", {{"ahead_s", ahead.count()}});
    });
    settings.clock = [clock] { return clock->now(); };
    const auto news = std::make_shared<StandstillNews>();
    settings.on_standstill = [&log, news](const ledger::Standstill& why) {
        log.error("ledger.standstill", {{"code", why.code}, {"detail", why.detail}});
        news->tell(why);
    };
    PreparedLedger out{.standstill = news,
                       .clock = clock,
                       .worker = {},
                       .reader = {},
                       .check_reader = {},
                       .rules = settings.rules};
    const auto recent = (*store)->recent();
    auto worker = ledger::LedgerWorker::start(
        *std::move(store),
        [&](const ledger::LogIdentity& identity, const ledger::TreeHead& last) {
            return make_log_key(config, identity, last, anchors, collateral, log);
        },
        std::move(settings));
    if (!worker) return fail(std::move(worker.error()));
    out.worker = *std::move(worker);
    for (auto* of_thread : {&out.reader, &out.check_reader}) {
        auto reader = ledger::SqliteReader::open(config.db_path, recent);
        if (!reader) return fail(std::move(reader.error()));
        *of_thread = *std::move(reader);
    }
    return out;
}

Result<KnownAtStart> read_at_start(const config::ControlPlaneConfig& config, const PreparedLedger& ledger,
                                   const telemetry::Log& log) {
    auto mark = LivenessMark::open(std::filesystem::path(config.db_path) += ".alive");
    if (!mark) return fail(std::move(mark.error()));
    const ledger::Grid grid = ledger.rules.grid;
    KnownAtStart out{.nodes = {}, .counts = WindowCounts(grid), .evidence = {}, .mark = {}};
    try {
        out.nodes =
            all_nodes(*ledger.reader, out.counts, ledger.clock->now() - registry::NodeWindows::counts_for);
        registry::Nodes readable(ledger::step_of(grid));
        NodeDirectory(readable).apply(out.nodes, {});
        out.evidence = read_recorded(*ledger.reader, grid, mark->last(), ledger.clock->now());
    } catch (const ledger::StoreFailure& failure) {
        return fail("store_unavailable", failure.what());
    } catch (const ledger::DamagedRecord& damage) {
        // Routing goes on; nobody can prove to be on a node, and nothing is written on top of it.
        log.error("ledger.not_read", {{"detail", damage.what()}});
        ledger.worker->checked(fail("ledger_halted", fmt::format("records: {}", damage.what())));
        out = {.nodes = {}, .counts = WindowCounts(grid), .evidence = {}, .mark = {}};
    }
    ledger.reader->end_reading();
    out.mark = *std::move(mark);
    return out;
}

void StandstillNews::tell(const ledger::Standstill& why) {
    const std::lock_guard guard(mutex_);
    last_ = why;
    if (on_standstill_) on_standstill_(why);
}

void StandstillNews::listen(OnStandstill on_standstill) {
    const std::lock_guard guard(mutex_);
    on_standstill_ = std::move(on_standstill);
    if (on_standstill_ && last_) on_standstill_(*last_);
}

LedgerService::LedgerService(net::Loop& loop, PreparedLedger prepared)
    : loop_(loop),
      standstill_(std::move(prepared.standstill)),
      clock_(std::move(prepared.clock)),
      worker_(std::move(prepared.worker)),
      store_(std::move(prepared.reader)),
      rules_(prepared.rules),
      log_(*store_),
      check_(std::move(prepared.check_reader),
             [this](Result<std::uint64_t> up_to) { worker_->checked(std::move(up_to)); }),
      thread_(1, questions_max) {}

LedgerService::~LedgerService() {
    standstill_->listen({});
}

void LedgerService::run(ledger::Request request, OnReply on_reply) {
    worker_->run(std::move(request), [this, on_reply = std::move(on_reply)](Result<ledger::Reply> reply) {
        loop_.post([on_reply, reply = std::move(reply)] { on_reply(reply); });
    });
}

void LedgerService::follow(WindowCounts counts, OnNodes nodes, OnEvents events) {
    standstill_->listen([this, events](const ledger::Standstill& why) {
        loop_.post([events, event = standstill_event(why, wall_now())] { events({event}); });
    });
    worker_->listen([this, counts = std::move(counts), seen = LedgerEvents(rules_.grid),
                     nodes = std::move(nodes),
                     events = std::move(events)](const ledger::Changes& changes) mutable {
        NodeChanges of_nodes = node_changes_in(changes, counts);
        if (!of_nodes.is_empty()) loop_.post([nodes, of_nodes = std::move(of_nodes)] { nodes(of_nodes); });
        std::vector<events::Event> found = seen.in(changes, wall_now());
        if (!found.empty()) loop_.post([events, found = std::move(found)] { events(found); });
    });
}

bool LedgerService::ask(Question question, std::function<void(Result<std::string>)> on_answer) {
    return thread_.run([this, question = std::move(question), on_answer = std::move(on_answer)] {
        loop_.post([on_answer, answered = answer(question)] { on_answer(answered); });
    });
}

// However it goes, the moment that was read is given up: the write-ahead log would grow with it.
Result<std::string> LedgerService::answer(const Question& question) {
    Result<std::string> body;
    try {
        body = answer_of_moment(question);
    } catch (const std::runtime_error& failure) {
        body = fail("store_unavailable", failure.what());
    }
    store_->end_reading();
    return body;
}

Result<std::string> LedgerService::answer_of_moment(const Question& question) {
    // As the worker's clock: one that steps back does not take the ledger with it.
    ledger::LedgerTime now = clock_->now();
    if (const auto head = worker_->head()) now = std::max(now, ledger::from_us(head->time_us));
    auto shown = question({.store = *store_,
                           .rules = rules_,
                           .log = log_,
                           .tree = [this] { return tree_of_moment(); },
                           .now = now});
    return shown ? with_receipt(*std::move(shown)) : fail(std::move(shown.error()));
}

Result<const ledger::LogTree*> LedgerService::tree_of_moment() {
    if (!tree_) {
        auto loaded = log_.load();
        if (!loaded) return fail("ledger_halted", loaded.error().detail);
        tree_ = *std::move(loaded);
    } else if (auto caught_up = log_.catch_up(*tree_); !caught_up) {
        return fail("ledger_halted", caught_up.error().detail);
    }
    return &*tree_;
}

Result<std::string> LedgerService::with_receipt(api::Shown shown) {
    if (!shown.leaf_index) return std::move(shown.body);
    const auto tree = tree_of_moment();
    if (!tree) return fail(tree.error());
    if (auto added = log_.add_receipt(shown.body, **tree, *shown.leaf_index); !added)
        return fail(std::move(added.error()));
    return std::move(shown.body);
}

api::LedgerDoor::State LedgerService::state() const {
    const auto why = worker_->standstill();
    if (!why) return {};
    return {
        .word = why->code == "ledger_forked" ? "forked" : "halted", .code = why->code, .detail = why->detail};
}

api::LedgerDoor::Counts LedgerService::counts() const {
    const auto head = worker_->head();
    return {
        .commits = worker_->commits(), .commands = worker_->commands(), .leaves = head ? head->head.size : 0};
}

crypto::Sha256 LedgerService::salted(const net::IpAddress& address) const {
    const std::string text = address.to_string();
    return crypto::sha256({worker_->identity().salt_secret, as_bytes(text)});
}

}  // namespace ee::control_plane
