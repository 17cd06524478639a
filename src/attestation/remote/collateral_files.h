#pragma once
// Fetched collateral on disk, one file a platform, in the JSON that other verifiers share. What is read is as
// unverified as what comes from the network.

#include <filesystem>
#include <functional>

#include "attestation/collateral.h"
#include "base/result.h"

namespace ee::attestation {

class CollateralFiles {
public:
    explicit CollateralFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

    // Calls `each` with every file that can be read and bears the name of the platform it says it is about;
    // `skipped` with the others. Without a folder there is nothing.
    void read_all(const std::function<void(const CollateralKey&, Collateral)>& each,
                  const std::function<void(const std::filesystem::path&, const Error&)>& skipped) const;
    // Replaces the file in one step and waits for the disk; makes the folder. Refuses with `file_unwritable`.
    Result<void> write(const CollateralKey& key, const Collateral& collateral) const;
    void remove(const CollateralKey& key) const;

private:
    std::filesystem::path file_of(const CollateralKey& key) const;

    std::filesystem::path folder_;
};

}  // namespace ee::attestation
