"""The reference of the commands: what each prints for ``--help``."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
from unittest import mock

from vision_baselines.cli import VERBS

# its help is Hydra's, with the whole config, which has its own pages
_HYDRAS = "train"


def commands_page(_: str = "") -> str:
    """A section for each verb of the installed command."""
    parts = []
    for verb, module in VERBS.items():
        script = f"python scripts/{module.rpartition('.')[2]}.py"
        parts += [f"## {verb}", f"`vision-baselines {verb}`, or `{script}` in a checkout."]
        parts += ["Takes `group=option` and `key=value`, see [Config](config.md)."] if verb == _HYDRAS else []
        parts += [] if verb == _HYDRAS else [f"```text\n{help_text(verb)}\n```"]
    return "\n\n".join(parts)


def help_text(verb: str) -> str:
    """What a verb prints for ``--help``, 100 columns wide."""
    out, plain = io.StringIO(), mock.patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1"})
    with plain, contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        importlib.import_module(VERBS[verb]).main(["--help"])
    return out.getvalue().strip()
