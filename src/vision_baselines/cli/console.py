"""The installed command: ``vision-baselines VERB …``, the same commands as ``scripts/``."""

from __future__ import annotations

import importlib
import os
import sys

from vision_baselines.cli import VERBS
from vision_baselines.cli.entry import exit_with, package_version
from vision_baselines.cli.messages import nearest
from vision_baselines.errors import ConfigError
from vision_baselines.terminal import print_prose

# Commands of a checkout alone: they measure and stress the project itself.
_DEVELOPMENT = {"benchmark": "scripts/benchmark.py", "stress-resume": "scripts/stress_resume.py"}
_COMPLETION = {"-sc", "--shell-completion"}
# What a page calls `python scripts/inspect_model.py` is typed as `inspect_model` too.
_SCRIPTS = {module.rpartition(".")[2]: verb for verb, module in VERBS.items()} | {"stress_resume": "stress-resume"}


def main() -> None:
    """Hand the command line to its verb; exits."""
    typed = sys.argv[1] if len(sys.argv) > 1 else "--help"
    verb = _SCRIPTS.get(typed, typed)
    if verb in _COMPLETION:
        verb = _completed_verb()
    if verb in VERBS:
        # a shell registers its completion for the command's own name
        name = sys.argv[0] if _COMPLETION & set(sys.argv) else f"{sys.argv[0]} {verb}"
        words = sys.argv[1:] if typed in _COMPLETION else sys.argv[2:]
        sys.argv = [name, *words]
        importlib.import_module(VERBS[verb]).main()
    exit_with(lambda: _say_what_there_is(verb))


def _completed_verb() -> str:
    """``train``, which alone has config groups and keys, once it has been typed; before that the verbs are printed.

    The shell hands over the whole line, of which Hydra expects the command's name and then overrides.
    """
    words = os.environ.get("COMP_LINE", "").split(" ")
    if "COMP_LINE" not in os.environ:  # install or uninstall
        return "train"
    if len(words) > 2 and words[1] == "train":
        os.environ["COMP_LINE"] = " ".join([*words[:1], *words[2:]])
        return "train"
    typed = words[1] if len(words) == 2 else ""
    return exit_with(lambda: print(" ".join(verb for verb in VERBS if len(words) <= 2 and verb.startswith(typed))))


def _say_what_there_is(verb: str) -> None:
    known = ", ".join(VERBS)
    if verb == "--version":
        print(f"vision-baselines {package_version()}")
        return
    if verb in _DEVELOPMENT:
        raise ConfigError(
            f"{verb} is a development tool now: python {_DEVELOPMENT[verb]}, in a checkout of the project"
        )
    if verb not in ("-h", "--help"):
        raise ConfigError(f"there is no verb {verb!r}{nearest(verb, VERBS)} (there are: {known})")
    print_prose(f"usage: vision-baselines VERB …\nverbs: {known}\nvision-baselines VERB --help says more")
