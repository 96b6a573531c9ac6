"""The installed command: ``vision-baselines VERB …``, the same doors as ``scripts/``."""

from __future__ import annotations

import importlib
import sys

from vision_baselines.cli import VERBS
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import nearest
from vision_baselines.errors import ConfigError


def main() -> None:
    """Hand the command line to its verb's door; exits."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in VERBS:
        sys.argv = [f"{sys.argv[0]} {verb}", *sys.argv[2:]]
        importlib.import_module(VERBS[verb]).main()
    exit_with(lambda: _say_what_there_is(verb))


def _say_what_there_is(verb: str) -> None:
    known = ", ".join(VERBS)
    if verb not in ("-h", "--help"):
        raise ConfigError(f"there is no verb {verb!r}{nearest(verb, VERBS)} (there are: {known})")
    print(f"usage: vision-baselines VERB …\nverbs: {known}\nvision-baselines VERB --help says more")
