#include "ledger/records.h"

#include "ledger/record_fields.h"

namespace ee::ledger {
using namespace fields;

static void append(RecordWriter& out, const EntryLine& line) {
    out.number(line.leaf_index)
        .integer(to_us(line.at))
        .integer(line.available.micro())
        .integer(line.locked.micro());
}

static EntryLine read_line(RecordReader& in) {
    EntryLine out;
    out.leaf_index = in.number();
    out.at = read_time(in);
    out.available = read_money(in);
    out.locked = read_money(in);
    return out;
}

std::string encode(const EntryLines& lines) {
    RecordWriter out;
    for (const EntryLine& line : lines) append(out, line);
    return out.take();
}

EntryLines decode_lines(std::string_view record) {
    RecordReader in(record);
    EntryLines lines;
    for (EntryLine& line : lines) line = read_line(in);
    in.finish();
    return lines;
}

std::string entry_lines_key(std::uint64_t account_number, std::uint64_t record_number) {
    return KeyWriter().number(account_number).number(record_number);
}

std::string Account::encode() const {
    RecordWriter out;
    out.number(number).number(entries).integer(available.micro()).integer(locked.micro()).number(held_locks);
    out.integer(to_us(opened_at)).flag(token.has_value());
    if (token) out.array(*token);
    for (std::size_t i = 0; i < entries % lines_in_record; ++i) append(out, newest[i]);
    return out.take();
}

Account Account::decode(std::string_view record) {
    RecordReader in(record);
    Account out;
    out.number = in.number();
    out.entries = in.number();
    out.available = read_money(in);
    out.locked = read_money(in);
    out.held_locks = in.number();
    out.opened_at = read_time(in);
    if (in.flag()) out.token = in.array<32>();
    for (std::size_t i = 0; i < out.entries % lines_in_record; ++i) out.newest[i] = read_line(in);
    in.finish();
    return out;
}

std::string_view to_word(LockState state) {
    switch (state) {
        case LockState::held: return "held";
        case LockState::settled: return "settled";
        case LockState::released: return "released";
    }
    return {};
}

std::string Lock::encode() const {
    RecordWriter out;
    out.text(account).text(node).text(app);
    append(out, cell);
    out.integer(amount.micro()).integer(price.micro()).integer(drawn.micro()).integer(hours.micro());
    out.byte(static_cast<std::uint8_t>(state)).integer(to_us(taken_at)).integer(to_us(ended_at));
    return out.take();
}

Lock Lock::decode(std::string_view record) {
    RecordReader in(record);
    Lock out;
    out.account = in.text();
    out.node = in.text();
    out.app = in.text();
    out.cell = read_period(in);
    out.amount = read_money(in);
    out.price = read_money(in);
    out.drawn = read_money(in);
    out.hours = Hours(in.integer());
    out.state = read_word<LockState>(in);
    out.taken_at = read_time(in);
    out.ended_at = read_time(in);
    in.finish();
    return out;
}

std::string UnitName::key() const {
    return KeyWriter().time(start_of(cell.start)).text(node).text(app);
}

std::string UnitName::prefix(Seconds cell_start) {
    return KeyWriter().time(start_of(cell_start));
}

std::string UnitName::prefix(Seconds cell_start, std::string_view node) {
    return KeyWriter().time(start_of(cell_start)).text(node);
}

UnitName UnitName::from_key(std::string_view key, Grid grid) {
    KeyReader in(key);
    UnitName out;
    out.cell.start = Seconds{std::chrono::seconds{in.time()}};
    out.cell.end = out.cell.start + step_of(grid);
    out.node = in.text();
    out.app = in.text();
    return out;
}

std::string held_lock_key(const Lock& lock, std::uint64_t id) {
    return KeyWriter()
        .time(start_of(lock.cell.start))
        .text(lock.node)
        .text(lock.app)
        .text(lock.account)
        .number(id);
}

std::string held_lock_prefix(const UnitName& unit) {
    return unit.key();
}

std::string held_lock_prefix(const UnitName& unit, std::string_view account) {
    return KeyWriter().time(start_of(unit.cell.start)).text(unit.node).text(unit.app).text(account);
}

std::string unit_account_key(const UnitName& unit, std::string_view account) {
    return held_lock_prefix(unit, account);
}

std::uint64_t lock_id_of(std::string_view held_lock_key) {
    if (held_lock_key.size() < 8) throw DamagedRecord("a key of a held lock without its id");
    return number_at(held_lock_key, held_lock_key.size() - 8);
}

std::string_view to_word(Outcome outcome) {
    switch (outcome) {
        case Outcome::open: return "open";
        case Outcome::pass: return "pass";
        case Outcome::fail: return "fail";
        case Outcome::inconclusive: return "inconclusive";
    }
    return {};
}

std::string Unit::encode() const {
    RecordWriter out;
    out.byte(static_cast<std::uint8_t>(outcome)).flag(has_usage).integer(uncollected.micro());
    append(out, reasons);
    out.integer(to_us(settled_at)).integer(paid.micro()).integer(returned.micro()).flag(moving);
    out.number(settlement_leaf).text(own_evidence).integer(claimed.micro());
    if (evidence_sha256) {
        out.array(*evidence_sha256).flag(observation_list.has_value());
        if (observation_list) out.array(*observation_list);
    }
    return out.take();
}

Unit Unit::decode(std::string_view record) {
    RecordReader in(record);
    Unit out;
    out.outcome = read_word<Outcome>(in);
    out.has_usage = in.flag();
    out.uncollected = read_money(in);
    out.reasons = read_texts(in);
    out.settled_at = read_time(in);
    out.paid = read_money(in);
    out.returned = read_money(in);
    out.moving = in.flag();
    out.settlement_leaf = in.number();
    out.own_evidence = in.text();
    out.claimed = read_money(in);
    if (in.has_more()) {
        out.evidence_sha256 = in.array<32>();
        if (in.flag()) out.observation_list = in.array<32>();
    }
    in.finish();
    return out;
}

std::string Report::encode() const {
    return RecordWriter().array(content).number(leaf_index).text(answer).take();
}

Report Report::decode(std::string_view record) {
    RecordReader in(record);
    Report out;
    out.content = in.array<32>();
    out.leaf_index = in.number();
    out.answer = in.text();
    in.finish();
    return out;
}

std::string Report::key(std::string_view node, std::string_view report_id) {
    return KeyWriter().text(node).text(report_id);
}

std::string KeyRecord::encode() const {
    RecordWriter out;
    out.array(request).flag(refused).number(status).flag(leaf_index.has_value());
    out.number(leaf_index.value_or(0)).text(secret).text(code).text(body);
    return out.take();
}

KeyRecord KeyRecord::decode(std::string_view record) {
    RecordReader in(record);
    KeyRecord out;
    out.request = in.array<32>();
    out.refused = in.flag();
    out.status = static_cast<std::uint16_t>(in.number());
    const bool has_leaf = in.flag();
    const std::uint64_t leaf = in.number();
    if (has_leaf) out.leaf_index = leaf;
    out.secret = in.text();
    out.code = in.text();
    out.body = in.text();
    in.finish();
    return out;
}

std::string KeyRecord::key(std::string_view principal, std::string_view idempotency_key) {
    const std::string joined = KeyWriter().text(principal).text(idempotency_key);
    const crypto::Sha256 digest = crypto::sha256(as_bytes(joined));
    return {digest.begin(), digest.begin() + 16};
}

}  // namespace ee::ledger
