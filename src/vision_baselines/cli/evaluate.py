"""``evaluate RUN_FOLDER|FILE.ckpt [probe=shift] [key=value …]``: the test once more, with probes, on any checkpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vision_baselines.cli.arguments import Parser, file_path, not_of_a_run
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import config_dir_known
from vision_baselines.config.compose import register_resolvers
from vision_baselines.config.packages import find_in_start_folder
from vision_baselines.errors import ConfigError, StorageError, TrainingError
from vision_baselines.runs.files import write_pictures
from vision_baselines.storage.atomic import write_atomically

if TYPE_CHECKING:
    from vision_baselines.evaluation.evaluate import Evaluation

_CKPT_PATH = "ckpt_path="


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Evaluate a run or a checkpoint; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _evaluate(given))


def _evaluate(arguments: list[str]) -> None:
    parser = Parser(prog="evaluate.py", description=__doc__)
    parser.add_argument("path", nargs="?", help="the folder of a finished run, or a checkpoint; also ckpt_path=…")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="probe=all, trainer.accelerator=cpu, …")
    parser.add_argument("--json", type=file_path, metavar="FILE", help="write the metrics there")
    parser.add_argument(
        "--pictures",
        type=file_path,
        metavar="DIR",
        help="a probe's pictures; default: evaluated/ beside run.json or the .ckpt",
    )
    parser.add_config_options()
    options = parser.parse_intermixed_args(arguments)
    words = [word for word in (options.path, *options.overrides) if word]
    # a run's folder has equals signs in its name too, so only this key is looked for
    named = [word for word in words if word.startswith(_CKPT_PATH)]
    path, *overrides = [*named[:1], *(word for word in words if word not in named[:1])] or [""]
    path = path.removeprefix(_CKPT_PATH)
    if not path:
        raise ConfigError(
            "expected a run's folder or a checkpoint: evaluate.py outputs/demo/model=cnn,seed=0 probe=shift"
        )
    if nameless := [word for word in overrides if word.startswith(("=", "+="))]:
        raise ConfigError(f"{nameless[0]!r} has no key; expected key=value, such as probe=shift")
    not_of_a_run(options.json, "--json")
    register_resolvers()
    find_in_start_folder(options.trust)
    from vision_baselines.evaluation.evaluate import evaluate

    with config_dir_known(options.config_dir):
        found = evaluate(Path(path), overrides=overrides, trusted_packages=options.trust)
    _show(found)
    if found.pictures:
        _write_pictures(
            found, options.pictures or (Path(path) if Path(path).is_dir() else Path(path).parent) / "evaluated"
        )
    if options.json:
        _write(found, options.json)
    if found.same is False and not found.manifest:
        raise TrainingError(f"{found.headline} is not the record's, though nothing else is different")


def _show(found: Evaluation) -> None:
    print(found.ckpt_path)
    width = max(map(len, found.metrics))
    for name in sorted(found.metrics, key=lambda name: (not name.startswith("test/"), name)):
        print(f"  {name:<{width}}  {found.metrics[name]:.6g}")
    if found.same is None:
        print(f"{found.headline} was not compared: {found.not_compared}")
    elif found.same:
        print(f"{found.headline} equals the record's")
    else:
        print(f"{found.headline} DIFFERS from the record's {found.recorded:.6g}")
        if found.manifest:
            print(f"bits cannot be promised here: {'; '.join(found.manifest)}")


def _write_pictures(found: Evaluation, folder: Path) -> None:
    try:
        names = write_pictures(folder, found.pictures)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder}: {error.strerror}; set --pictures to a folder of your own"
        ) from error
    for name in names:
        print(f"picture: {folder / name}")


def _write(found: Evaluation, target: Path) -> None:
    content = {
        "ckpt_path": str(found.ckpt_path),
        "metrics": found.metrics,
        "curves": {name: curve.model_dump() for name, curve in found.curves.items()},
        "same_as_record": found.same,
    }
    try:
        write_atomically(target, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror}; set --json to a file that can be written"
        ) from error
