// Verifies one TDX quote:
//
//   verify_quote QUOTE COLLATERAL.json [SIMULATED_ROOT.pem]
//
// Prints the verdict; ends with 0 when the quote holds and forge-1's policy accepts the platform, with 1 when
// not, with 2 when a file cannot be read.

#include <easyenclave/attestation.h>
#include <fstream>
#include <iostream>
#include <iterator>

namespace att = easyenclave::attestation;

namespace {

std::optional<std::string> read_file(const char* name) {
    std::ifstream in(name, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
}

att::Bytes bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

int refuse(const att::Refusal& refusal) {
    std::cout << "refused: " << refusal.code << '\n' << refusal.detail << '\n' << refusal.remedy << '\n';
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3 || argc > 4) {
        std::cerr << "usage: verify_quote QUOTE COLLATERAL.json [SIMULATED_ROOT.pem]\n";
        return 2;
    }
    const auto quote = read_file(argv[1]), collateral_json = read_file(argv[2]);
    const auto root = argc == 4 ? read_file(argv[3]) : std::string();
    if (!quote || !collateral_json || !root) {
        std::cerr << "verify_quote: a file cannot be read\n";
        return 2;
    }

    const auto collateral = att::Collateral::parse(*collateral_json);
    if (!collateral) return refuse(collateral.refusal());
    const auto verifier =
        root->empty() ? att::Verifier() : att::Verifier::with_simulated_root(bytes_of(*root));
    if (!verifier) return refuse(verifier.refusal());

    // A service would also give the report data it has asked for: without it the quote may be an old one.
    const att::Verdict verdict = verifier->verify({
        .quote = bytes_of(*quote),
        .collateral = *collateral,
        .policy = root->empty() ? att::Policy::forge_1() : att::Policy::sandbox_1(),
        .report_data = {},
        .now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()),
    });
    if (verdict.result == att::Result::refused) return refuse(verdict.refusal);
    std::cout << "ok: " << verdict.tcb_status << "\nmrtd " << verdict.mrtd << '\n';
    for (const std::string& advisory : verdict.advisory_ids) std::cout << "advisory " << advisory << '\n';
    return 0;
}
