"""Hydra's own suite for launchers, run with ours; docs/development/launcher_conformance.md has joblib's beside it."""

from __future__ import annotations

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

from hydra_plugins.vision_baselines_local import LocalLauncher


def test_hydra_finds_the_launcher():
    assert LocalLauncher.__name__ in [found.__name__ for found in Plugins.instance().discover(Launcher)]


@pytest.mark.slow
@pytest.mark.parametrize("launcher_name", ["local"])
@pytest.mark.parametrize("overrides", [[], ["hydra/sweeper=paired"]], ids=["basic", "paired"])
class TestLocalLauncher(LauncherTestSuite):
    """Jobs, their configs and results."""


@pytest.mark.slow
@pytest.mark.parametrize("launcher_name", ["local"])
@pytest.mark.parametrize(
    "overrides",
    [["hydra.sweeper.max_batch_size=2"], ["hydra/sweeper=paired", "hydra.sweeper.max_batch_size=2"]],
    ids=["basic", "paired"],
)
class TestBatches(BatchedSweeperTestSuite):
    """Jobs in batches: Hydra's suite for sweepers."""


@pytest.mark.slow
@pytest.mark.parametrize("task_launcher_cfg", [{}])
@pytest.mark.parametrize("extra_flags", [["-m", "hydra/launcher=local"]])
class TestIntegration(IntegrationTestSuite):
    """Whole applications, each a script of its own."""
