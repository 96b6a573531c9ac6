"""``evaluate RUN_FOLDER|FILE.ckpt [probe=shift] [key=value …]``: the test once more, with probes, on any checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vision_baselines.cli.arguments import Parser
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import config_dir_known
from vision_baselines.cli.outputs import deliver, require_foreign_file, say, text_apart
from vision_baselines.config.compose import register_resolvers
from vision_baselines.errors import ConfigError, StorageError, TrainingError
from vision_baselines.runs.files import write_pictures
from vision_baselines.terminal import print_prose

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
    parser.add_data_options("the metrics and curves")
    parser.add_output(
        "--pictures",
        None,
        metavar="DIR",
        help="a probe's pictures; default: evaluated/ beside run.json or the .ckpt",
    )
    parser.add_argument(
        "--tta",
        metavar="flip|shift|N",
        help="test-time augmentation, the mean over views of an image: mirrored, moved by a pixel, or N as in training",
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
    register_resolvers()
    from vision_baselines.evaluation.evaluate import evaluate

    with text_apart(options), config_dir_known(options.config_dir):
        found = evaluate(Path(path), overrides=overrides, trusted_packages=options.trust, views=options.tta)
        _show(found)
        if found.pictures:
            _write_pictures(
                found, options.pictures or (Path(path) if Path(path).is_dir() else Path(path).parent) / "evaluated"
            )
    deliver(options.json, _facts(found))
    if found.same is False and not found.manifest:
        raise TrainingError(f"{found.headline} is not the record's, though nothing else is different")


def _show(found: Evaluation) -> None:
    say(found.ckpt_path)
    if found.views is not None:
        print_prose(f"test-time augmentation: {found.views}")
    width = max(map(len, found.metrics))
    for name in sorted(found.metrics, key=lambda name: (not name.startswith("test/"), name)):
        print(f"  {name:<{width}}  {found.metrics[name]:.6g}")
    if found.same is None:
        print_prose(f"{found.headline} was not compared: {found.not_compared}")
    elif found.same:
        print_prose(f"{found.headline} equals the record's")
    else:
        print_prose(f"{found.headline} DIFFERS from the record's {found.recorded:.6g}")
        if found.manifest:
            print_prose(f"bits cannot be promised here: {'; '.join(found.manifest)}")


def _write_pictures(found: Evaluation, folder: Path) -> None:
    for name in found.pictures:
        require_foreign_file(folder / name, "a probe's picture")
    try:
        names = write_pictures(folder, found.pictures)
    except OSError as error:
        raise StorageError(
            f"cannot write {folder}: {error.strerror}; set --pictures to a folder of your own"
        ) from error
    for name in names:
        say(f"picture: {folder / name}")


def _facts(found: Evaluation) -> dict[str, object]:
    return {
        "ckpt_path": str(found.ckpt_path),
        "metrics": found.metrics,
        "curves": {name: curve.model_dump() for name, curve in found.curves.items()},
        "same_as_record": found.same,
        "test_time_augmentation": found.views,
    }
