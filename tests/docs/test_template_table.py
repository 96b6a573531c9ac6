"""docs/from_lightning_hydra_template.md: every command of its table is one that could be run as it stands."""

from __future__ import annotations

import re
import shlex

import pytest

from vision_baselines.config.checks import checked_config
from vision_baselines.config.compose import group_options

EXTRA = ("logger=wandb", "logger=mlflow")
# What the template has in each group; of hparams_search it has files, here it is one sweeper.
TEMPLATE = {
    "callbacks": ["default", "early_stopping", "model_checkpoint", "model_summary", "none", "rich_progress_bar"],
    "debug": ["default", "fdr", "limit", "overfit", "profiler"],
    "logger": ["aim", "comet", "csv", "many_loggers", "mlflow", "neptune", "tensorboard", "wandb"],
    "trainer": ["cpu", "ddp", "ddp_sim", "gpu", "mps"],
    "extras": ["print_config", "tags", "enforce_tags", "ignore_warnings"],
    "local": ["default"],
}


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "from_lightning_hydra_template.md").read_text(encoding="utf-8")


def commands(text):
    return sorted(set(re.findall(r"\| `python scripts/train\.py ([^`|]+)` \|", text)))


def test_every_choice_that_the_template_has_is_in_the_table(page):
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    said = " ".join(rows)
    for group, choices in TEMPLATE.items():
        for choice in choices:
            assert f"`{group}: {choice}`" in said, (group, choice)
    assert "`hparams_search`" in said


def test_every_option_that_a_command_names_exists(page):
    found = commands(page)
    assert len(found) >= 25
    for command in found:
        for word in shlex.split(command):
            key, _, value = word.partition("=")
            if options := group_options(key.lstrip("+")):
                assert set(value.strip("[]").split(",")) <= set(options), command


@pytest.mark.slow
def test_every_command_composes_and_is_checked(page, compose):
    for command in commands(page):
        words = [word for word in shlex.split(command) if word != "-m"]
        if any(word in EXTRA for word in words):
            pytest.importorskip(words[-1].partition("=")[2])
        for word in words:  # of a sweep each experiment
            key, _, value = word.partition("=")
            if key == "experiment":
                for choice in value.split(","):
                    checked_config(compose(f"experiment={choice}"))
        checked_config(compose(*[word for word in words if not word.startswith(("experiment=", "optimizer.lr=tag"))]))
