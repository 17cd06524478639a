#include "ledger/kept_evidence.h"

namespace ee::ledger {
namespace {

// Where the list of observations is in a bundle. Members have one order, and the quotes in texts are escaped:
// each of these is in it once.
struct ListPlace {
    std::size_t begin = 0;
    std::size_t size = 0;
};

ListPlace list_place(std::string_view bundle) {
    constexpr std::string_view member = R"("observations":)", next = R"(,"outages":)";
    const std::size_t begin = bundle.find(member), end = bundle.find(next);
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin + member.size())
        throw DamagedRecord("evidence without a list of observations");
    return {.begin = begin + member.size(), .size = end - begin - member.size()};
}

std::string list_key(const crypto::Sha256& digest) {
    return std::string(as_text(digest));
}

// How many units name it.
std::uint64_t count_names(const Batch& batch, const std::string& key) {
    const auto record = batch.get(Table::observation_list_names, key);
    return record ? number_at(*record, 0) : 0;
}

void put_names(Batch& batch, const std::string& key, std::uint64_t names) {
    batch.put(Table::observation_list_names, key, KeyWriter().number(names));
}

crypto::Sha256 name_list(Batch& batch, std::string list) {
    const crypto::Sha256 digest = crypto::sha256(as_bytes(list));
    const std::string key = list_key(digest);
    const std::uint64_t names = count_names(batch, key);
    if (names == 0) batch.put(Table::observation_lists, key, std::move(list));
    put_names(batch, key, names + 1);
    return digest;
}

void forget_list(Batch& batch, const crypto::Sha256& list) {
    const std::string key = list_key(list);
    const std::uint64_t names = count_names(batch, key);
    if (names == 0) throw DamagedRecord("a unit names a list of observations that is not there");
    if (names > 1) return put_names(batch, key, names - 1);
    batch.erase(Table::observation_list_names, key);
    batch.erase(Table::observation_lists, key);
}

}  // namespace

void keep_evidence(Batch& batch, Unit& unit, const UnitEvidence& evidence) {
    const auto named_before = unit.observation_list;
    unit.own_evidence = to_json(evidence);
    unit.evidence_sha256 = crypto::sha256(as_bytes(unit.own_evidence));
    unit.observation_list.reset();
    if (const ListPlace place = list_place(unit.own_evidence); place.size >= shared_list_min) {
        unit.observation_list = name_list(batch, unit.own_evidence.substr(place.begin, place.size));
        unit.own_evidence.replace(place.begin, place.size, "[]");
    }
    if (named_before) forget_list(batch, *named_before);  // Last: what it named and names stays.
}

std::string evidence_json(const Batch& batch, const Unit& unit) {
    std::string out = unit.own_evidence;
    if (!unit.observation_list) return out;
    const auto list = expect_record(batch.get(Table::observation_lists, list_key(*unit.observation_list)),
                                    "a list of observations that a unit names");
    const ListPlace place = list_place(out);
    return out.replace(place.begin, place.size, list);
}

std::optional<crypto::Sha256> evidence_digest(const Unit& unit) {
    if (unit.evidence_sha256 || unit.own_evidence.empty()) return unit.evidence_sha256;
    return crypto::sha256(as_bytes(unit.own_evidence));  // of a unit from before
}

}  // namespace ee::ledger
