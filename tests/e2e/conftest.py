"""Fixtures of the end-to-end tests, and the logs of what failed."""

import sys
import tempfile

import pytest

sys.path.insert(0, __file__.rsplit("/", 1)[0])

from harness import World  # noqa: E402
from settled_network import Network  # noqa: E402
from simulated_platform import LEGACY_CLAIMS, SimulatedPlatform, report_data_legacy  # noqa: E402


@pytest.fixture(scope="session")
def platform():
    """One simulated platform a session; tests that change it make their own."""
    with tempfile.TemporaryDirectory(prefix="ee-platform-") as folder:
        made = SimulatedPlatform(folder + "/platform")
        # Without a nonce inside it serves every legacy answer: those are then given at once, however busy the machine.
        made.quote(report_data_legacy(LEGACY_CLAIMS))
        yield made


@pytest.fixture
def world(platform, request):
    made = World(tempfile.mkdtemp(prefix="ee-e2e-"), platform)
    request.node.worlds = [made]
    yield made
    made.close()


@pytest.fixture
def network(world):
    return Network(world)


@pytest.fixture(scope="module")
def shared_world(platform):
    """One world for all tests of a file, where starting it anew for each would only cost time."""
    made = World(tempfile.mkdtemp(prefix="ee-e2e-"), platform)
    yield made
    made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if call.when != "call" or not report.failed:
        return
    worlds = [value for value in item.funcargs.values() if isinstance(value, World)]
    for world in worlds:
        for title, text in world.transcripts():
            report.sections.append((f"log of {title}", text))
