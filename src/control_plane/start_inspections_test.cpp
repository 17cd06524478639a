#include "control_plane/start_inspections.h"

#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "base/check.h"
#include "base/time.h"
#include "crypto/issuing.h"
#include "crypto/signing_key.h"

namespace ee::control_plane {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class StartInspections : public testing::Test {
protected:
    StartInspections() {
        std::string name = (fs::temp_directory_path() / "ee-start-XXXXXX").string();
        folder = ::mkdtemp(name.data());
        config.control.host = config.proxy.host = "127.0.0.1";
        config.quote_provider = "auto";
        config.db_path = folder / "data" / "control-plane.db";
        config.ledger_key_file = folder / "data" / "control-plane.db.key";
    }
    ~StartInspections() override { fs::remove_all(folder); }

    fs::path write(const std::string& name, std::string_view text) const {
        std::ofstream(folder / name, std::ios::binary) << text;
        return folder / name;
    }
    fs::path key(const std::string& name, crypto::KeyKind kind) const {
        EE_CHECK(crypto::save_signing_key(folder / name, crypto::SigningKey::generate(kind)));
        return folder / name;
    }
    std::vector<std::string> problems() const {
        std::vector<std::string> found;
        for (const auto& inspection : start_inspections())
            for (std::string& problem : inspection.find(config).problems) found.push_back(std::move(problem));
        return found;
    }

    fs::path folder;
    config::ControlPlaneConfig config;
};

TEST_F(StartInspections, FindNothingWhereAStartSucceedsAndMakeNothing) {
    EXPECT_THAT(problems(), IsEmpty());
    EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(StartInspections, LookForTheAddressesToListenOn) {
    config.control.host = "192.0.2.1";  // RFC 5737: no machine has it.
    config.passthrough = {.host = "2001:db8::1", .port = 0};
    EXPECT_THAT(problems(), ElementsAre(AllOf(StartsWith("EE_CONTROL_BIND: "), HasSubstr("192.0.2.1")),
                                        StartsWith("EE_PASSTHROUGH_BIND: ")));
}

TEST_F(StartInspections, ReadCertificatesAndKeysOfBothListeners) {
    const fs::path text = write("text.pem", "no certificate");
    config.control_tls = {.certificate = text, .key = text};
    config.proxy_tls = {.certificate = text, .key = text};
    EXPECT_THAT(problems(),
                ElementsAre(AllOf(StartsWith("EE_TLS_CERT, EE_TLS_KEY: "), HasSubstr(text)),
                            AllOf(StartsWith("EE_PROXY_TLS_CERT, EE_PROXY_TLS_KEY: "), HasSubstr(text))));
}

TEST_F(StartInspections, ReadTheRootOfTheSimulatedPlatform) {
    config.tdx_root_ca = write("root.pem", "no certificate");
    EXPECT_THAT(problems(), ElementsAre(StartsWith("EE_TDX_ROOT_CA: ")));
}

TEST_F(StartInspections, AskForTheQuoteProviderThatTheSettingsName) {
    config.quote_provider = "simulated";
    config.simulated_tdx_dir = folder;
    EXPECT_THAT(problems(),
                ElementsAre(StartsWith("EE_QUOTE_PROVIDER: EE_SIMULATED_TDX_DIR cannot be used")));
    const auto platform = attestation::make_simulated_platform(wall_now());
    EE_CHECK(attestation::save_simulated_platform(folder, platform, wall_now()));
    EXPECT_THAT(problems(), IsEmpty());
    // Then the log's key lives in memory.
    config.ledger_key_file = write("key.pem", "no key");
    EXPECT_THAT(problems(), IsEmpty());
    config.ledger_key_file = folder / "key";
    config.simulated_tdx_dir.reset();
    EXPECT_THAT(problems(), IsEmpty()) << "the settings' own rules say so";
}

TEST_F(StartInspections, LookForAPlaceThatTheDatabaseCanBeIn) {
    for (const fs::path& path : {fs::path("/proc/x/y"), fs::path("/dev/null"), folder,
                                 write("text", "longer than a database's begin"), write("file", "") / "db"}) {
        config.db_path = path;
        config.ledger_key_file = folder / "key";
        EXPECT_THAT(problems(), ElementsAre(StartsWith("EE_DB_PATH: "))) << path;
    }
    config.db_path = write("empty.db", "");
    EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(StartInspections, ReadTheLedgersKey) {
    config.ledger_key_file = write("key.pem", "no key");
    EXPECT_THAT(problems(),
                ElementsAre(StartsWith("EE_LEDGER_KEY_FILE: " + config.ledger_key_file.string())));
    config.ledger_key_file = key("p256.pem", crypto::KeyKind::p256);
    EXPECT_THAT(problems(), ElementsAre(HasSubstr("p256.pem must hold an Ed25519 key")));
    config.ledger_key_file = key("ed25519.pem", crypto::KeyKind::ed25519);
    EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(StartInspections, LookForAPlaceThatTheLedgersKeyCanBeMadeIn) {
    config.ledger_key_file = "/proc/key";
    EXPECT_THAT(problems(), ElementsAre(StartsWith("EE_LEDGER_KEY_FILE: ")));
    // Its folder is made only where it is the database's.
    config.db_path = folder / "control-plane.db";
    EXPECT_THAT(problems(), ElementsAre(StartsWith("EE_LEDGER_KEY_FILE: ")));
    config.ledger_key_file = folder / "missing" / "key";
    EXPECT_THAT(problems(), ElementsAre(HasSubstr("missing is not there")));
}

}  // namespace
}  // namespace ee::control_plane
