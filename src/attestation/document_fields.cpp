#include "attestation/document_fields.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace ee::attestation {
namespace {

using Object = CollateralJson::Object;

constexpr std::size_t levels_max = 256;
constexpr std::size_t advisories_max = 256;

constexpr TcbStatusSet isvsvn_statuses = {TcbStatus::up_to_date, TcbStatus::out_of_date, TcbStatus::revoked};

}  // namespace

TcbVerdict read_verdict(const Object& level, TcbStatusSet statuses) {
    TcbVerdict verdict;
    const std::string_view word = level.text("tcbStatus");
    const auto status = parse_tcb_status(word);
    if (status && statuses.contains(*status))
        verdict.status = *status;
    else
        level.refuse("tcbStatus", fmt::format("\"{}\" is no status of such a level", word.substr(0, 60)));
    verdict.date = level.time("tcbDate");
    verdict.advisory_ids = level.texts("advisoryIDs", advisories_max);
    return verdict;
}

std::vector<IsvSvnLevel> read_isvsvn_levels(const Object& holder) {
    std::vector<IsvSvnLevel> levels;
    holder.objects("tcbLevels", 1, levels_max, [&](const Object& level) {
        const auto svn = static_cast<std::uint16_t>(level.object("tcb").number("isvsvn", 0xffff));
        for (std::size_t i = 0; i < levels.size(); ++i) {
            if (levels[i].isv_svn == svn) level.refuse("tcb", fmt::format("the same as of level {}", i));
        }
        levels.push_back({.isv_svn = svn, .verdict = read_verdict(level, isvsvn_statuses)});
    });
    std::sort(levels.begin(), levels.end(),
              [](const IsvSvnLevel& a, const IsvSvnLevel& b) { return a.isv_svn > b.isv_svn; });
    return levels;
}

DocumentLife read_document_life(const Object& document, std::uint64_t version) {
    const std::uint64_t said = document.number("version", 0xffff);
    if (said != version) document.refuse("version", fmt::format("{}, known is {}", said, version));
    const DocumentLife life{.issued_at = document.time("issueDate"),
                            .next_update = document.time("nextUpdate")};
    if (life.next_update < life.issued_at) {
        document.refuse("nextUpdate", fmt::format("{} is before issueDate {}", to_rfc3339(life.next_update),
                                                  to_rfc3339(life.issued_at)));
    }
    return life;
}

}  // namespace ee::attestation
