#pragma once
// TCB info, version 3: the levels at which a family of platforms is known, as its vendor publishes them
// (Intel PCS API version 4, "Get TDX TCB Info").

#include <optional>
#include <string_view>
#include <vector>

#include "attestation/tcb_status.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace ee::attestation {

// What the vendor says of whoever is at a level.
struct TcbVerdict {
    TcbStatus status = TcbStatus::not_evaluated;
    WallTime date{};
    std::vector<std::string> advisory_ids;
};

// A level of a platform.
struct TcbLevel {
    ByteArray<16> sgx_components{};
    std::uint16_t pce_svn = 0;
    ByteArray<16> tdx_components{};
    TcbVerdict verdict;
};

// A level of an enclave or of a TDX module.
struct IsvSvnLevel {
    std::uint16_t isv_svn = 0;
    TcbVerdict verdict;
};

// Who makes TDX modules and which attributes they have; `attributes` as they are in memory, under the mask.
struct TdxModule {
    ByteArray<48> mr_signer{};
    ByteArray<8> attributes{};
    ByteArray<8> attributes_mask{};
};

// The same of modules of one version ("TDX_01": 1), with their levels.
struct TdxModuleIdentity {
    std::uint8_t version = 0;
    TdxModule module;
    std::vector<IsvSvnLevel> levels;  // highest SVN first
};

struct TcbInfo {
    WallTime issued_at{};
    WallTime next_update{};
    ByteArray<6> fmspc{};
    ByteArray<2> pce_id{};
    std::uint64_t evaluation_number = 0;
    TdxModule module;
    std::vector<TdxModuleIdentity> module_identities;
    std::vector<TcbLevel> levels;  // highest first: SGX components, then PCE SVN, then TDX components
};

// Refuses with `collateral_mismatch:tcb_info_id` (about another TEE than TDX) or
// `collateral_malformed:tcb_info` (the detail has the JSON pointer of the field): larger than 64 KiB, deeper
// than 32, a field that is missing or not what it must be, a key or a level that is there twice. Keys it does
// not know are passed over.
Result<TcbInfo> parse_tcb_info(std::string_view text);

}  // namespace ee::attestation
