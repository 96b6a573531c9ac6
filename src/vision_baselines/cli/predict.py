"""``predict RUN… PICTURE|FOLDER…``: the likeliest classes of pictures, by one run or by several as an ensemble."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vision_baselines.cli.arguments import Parser, file_path, positive
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import config_dir_known
from vision_baselines.cli.outputs import PRINTED, deliver, is_printed
from vision_baselines.config.compose import register_resolvers
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.runs.places import not_a_run
from vision_baselines.terminal import console, print_prose

if TYPE_CHECKING:
    from vision_baselines.data.given_pictures import Fault
    from vision_baselines.evaluation.predictions import Predictions
    from vision_baselines.evaluation.trained import Trained

_EXAMPLE = "predict.py outputs/demo/model=cnn,seed=0 pictures/"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Predict; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _predict(given))


def _predict(arguments: list[str]) -> None:
    parser = Parser(prog="predict.py", description=__doc__)
    parser.add_argument(
        "paths",
        nargs="*",
        type=file_path,
        metavar="PATH",
        help="folders of finished runs, or of a sweep for all runs in it; pictures, and folders of pictures",
    )
    parser.add_argument("--top", type=positive, default=3, metavar="K", help="how many classes to show; default: 3")
    parser.add_data_options("every probability", "--json", "--csv")
    parser.add_output("--html", ".html", metavar="FILE", help="a page with the pictures")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, … or mps")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="pictures at a time; default: as in the test")
    parser.add_config_options()
    options = parser.parse_intermixed_args(arguments)
    outputs = {"--json": options.json, "--csv": options.csv, "--html": options.html}
    if not options.paths:
        raise ConfigError(f"expected a run and pictures: {_EXAMPLE}")
    for option, target in outputs.items():
        if target and target != PRINTED and os.path.realpath(target) in map(os.path.realpath, options.paths):
            raise ConfigError(f"{option} is {str(target)!r}, which is also to be read; choose another")
    if not any(map(_may_hold_a_run, options.paths)):  # said before torch is imported
        _require_both([], options.paths)
    _require_there(options.paths)
    register_resolvers()

    from vision_baselines.comparison.formatting import plural
    from vision_baselines.evaluation.predict import predict
    from vision_baselines.evaluation.prediction_table import ENSEMBLE_NOTE, prediction_table
    from vision_baselines.evaluation.trained import load_trained, runs_and_others, usable_device

    runs, pictures, notes = runs_and_others(options.paths)
    _require_both(runs, pictures)
    for note in notes:
        _say(note)
    faults: list[Fault] = []

    def refuse(fault: Fault) -> None:
        faults.append(fault)
        _say(f"not read: {fault}")

    device = usable_device(options.device)
    with config_dir_known(options.config_dir):
        members = load_trained(runs, trusted_packages=options.trust, device=device)
        found = predict(members, pictures, batch_size=options.batch_size, on_fault=refuse, on_note=_say)
    _write(found, members, faults, outputs, options.top)
    if not is_printed(options):
        terminal = console()
        if len(found):
            terminal.print(prediction_table(found, options.top, terminal))
        if len(found) and len(members) > 1:
            print_prose(f"mean of {len(members)} runs; {ENSEMBLE_NOTE}")
        for target in filter(None, outputs.values()):
            print(target)
    sys.stdout.flush()
    if faults:
        raise DataError(f"not read: {len(faults):,}, named above; predicted: {plural(len(found), 'picture')}")


def _may_hold_a_run(path: Path) -> bool:
    from vision_baselines.runs.record import RECORD_FILE

    try:
        if os.path.lexists(path / RECORD_FILE):
            return True
        return any(next(path.glob(f"{inner}/{RECORD_FILE}"), None) for inner in ("*", "*/*"))
    except (OSError, ValueError):  # what is wrong with the name is said later
        return True


def _require_there(paths: Sequence[Path]) -> None:
    from vision_baselines.data.picture_layout import printable

    missing = [path for path in paths if not os.path.lexists(path)]
    if missing:
        more = f" (nor {len(missing) - 1:,} more)" if len(missing) > 1 else ""
        raise DataError(f"no file or folder {printable(str(missing[0]))}{more}; expected runs and pictures: {_EXAMPLE}")


def _require_both(runs: Sequence[Path], pictures: Sequence[Path]) -> None:
    from vision_baselines.data.picture_layout import printable

    if not runs:
        raise DataError(f"{not_a_run(pictures[0])}; pictures stand beside it: {_EXAMPLE}")
    if not pictures:
        raise ConfigError(f"expected pictures, or a folder of them, beside the run: {_EXAMPLE}")
    for path in pictures:
        if path.suffix == ".ckpt":
            raise ConfigError(f"{printable(str(path))} is a checkpoint; name the folder of its run, which has run.json")


def _write(
    found: Predictions, members: Sequence[Trained], faults: Sequence[Fault], outputs: dict[str, Path | None], top: int
) -> None:
    if (target := outputs["--json"]) is not None:
        from vision_baselines.evaluation.predictions import as_json

        runs = [
            {"folder": str(member.folder), "image_shape": list(member.datamodule.image_shape)} for member in members
        ]
        deliver(target, as_json(found, runs, faults))
    if (target := outputs["--csv"]) is not None:
        from vision_baselines.evaluation.predictions import flat_frame
        from vision_baselines.report.frames import csv

        deliver(target, csv(flat_frame(found)))
    if (target := outputs["--html"]) is not None:
        from vision_baselines.evaluation.gallery import gallery

        deliver(target, gallery(found, members, faults, top))


def _say(line: str) -> None:
    print_prose(line, sys.stderr)
