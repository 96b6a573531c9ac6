"""Many commands in one process, for the start of Python and Hydra is most of what one costs; started by test_cli.

Reads lists of words as JSON, and prints as JSON what each answered and which large libraries were imported.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import sys
from typing import Any

gc.set_threshold(10_000, 20, 50)
from vision_baselines.cli.entry import main  # noqa: E402


def answer(words: list[str]) -> dict[str, Any]:
    sys.argv = ["train.py", *words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main("train")
            code = None
        except SystemExit as end:
            code = end.code
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    answers = [answer(words) for words in json.loads(sys.argv[1])]
    slow = sorted({"torch", "pandas", "matplotlib"} & set(sys.modules))
    sys.stdout.write(json.dumps({"answers": answers, "slow": slow}) + "\n")
