"""``inspect_model.py model=cnn data=mnist``: a net's layers, its cost beside dense rivals, and what a unit sees."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from omegaconf import DictConfig, OmegaConf, open_dict

from vision_baselines.cli.arguments import Parser
from vision_baselines.cli.command_line import check_override
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import config_dir_known, nearest
from vision_baselines.cli.outputs import deliver, is_printed, writing
from vision_baselines.config import compose
from vision_baselines.config.compose import group_options
from vision_baselines.errors import ConfigError
from vision_baselines.terminal import console, print_prose

# The fully connected net that a net is best compared with, where that is not fc.
_AGAINST = {"cnn_rgb": "fc_rgb"}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print and draw what there is to know about a net before it is trained; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _run(given))


def _run(arguments: list[str]) -> None:
    parser = Parser(prog="inspect_model.py", description="Layers, cost and receptive field of a net, untrained.")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for train.py: model=cnn data=mnist …")
    parser.add_argument(
        "--against",
        metavar="MODEL,…",
        help="nets of model= to compare with, such as fc,cnn_gap; left out: fc, or beside cnn_rgb fc_rgb, the fully "
        "connected net of three hidden layers",
    )
    parser.add_data_options("all of it")
    parser.add_output("--out", None, metavar="DIR", help="for the pictures; outputs/inspect/MODEL_DATA if left out")
    parser.add_config_options()
    options = parser.parse_intermixed_args(arguments)
    _check(options.overrides)
    trusted = [f"trusted_packages=[{','.join(options.trust)}]"] if options.trust else []
    with config_dir_known(options.config_dir):
        cfg, default_out, model = composed([*options.overrides, *trusted])
        against = _models(options.against, model)

    # Only now: a misspelt key is answered before torch is imported.
    from vision_baselines.inspection.model import inspect_model
    from vision_baselines.inspection.pictures import draw
    from vision_baselines.inspection.text import console_inspection, plain_inspection

    found = inspect_model(cfg, against)
    pictures: list[Path] = []
    unwritten: OSError | None = None
    try:
        with writing(options.out) if options.out is not None else contextlib.nullcontext():
            pictures = draw(found, cfg, options.out or default_out)
    except OSError as error:  # what was counted is said all the same
        unwritten = error
    if options.json:
        deliver(options.json, plain_inspection(found) | {"pictures": pictures})
    if is_printed(options):
        return
    out = console()
    for part in console_inspection(found):
        out.print(part)
    out.print()
    for path in pictures:
        print_prose(str(path))
    if unwritten is not None:
        print_prose(
            f"no pictures: {unwritten.strerror} at {unwritten.filename}; choose a folder with --out", sys.stderr
        )


def _check(overrides: Sequence[str]) -> None:
    for word in overrides:
        check_override(word)
        if Path(word).exists():
            raise ConfigError(
                f"{word} is a file or folder; expected overrides, as for train.py: model=cnn data=mnist "
                "(evaluate.py tests a run's trained net)"
            )
        if word.startswith("init_from="):
            raise ConfigError(f"{word!r} changes nothing: what is inspected is the net before training; leave it out")


def composed(overrides: Sequence[str]) -> tuple[DictConfig, Path, str]:
    """The config that ``train.py`` would run with these overrides, without a run's folder.

    Returns:
        The config, a folder for pictures, and the name of the model's config.

    Raises:
        ConfigError: Hydra cannot make a config of them and has no error of its own for it.
    """
    try:
        cfg = compose.composed(overrides, with_hydra=True)
    except (ValueError, TypeError) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    choices = cfg.hydra.runtime.choices
    model, data = (Path(str(choices.get(group) or f"no-{group}")).name for group in ("model", "data"))
    out = Path(cfg.paths.output_dir) / "inspect" / f"{model}_{data}"
    for group in ("model", "data"):
        if not isinstance(OmegaConf.select(cfg, group), DictConfig):
            raise ConfigError(f"the config has no {group}")
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, out, model


def _models(names: str | None, model: str) -> dict[str, DictConfig]:
    """The configs of the nets to compare with, which interpolate from the data's facts, by name."""
    if names is None:
        names = _AGAINST.get(model, "fc")
    known = group_options("model")
    for name in names.split(","):
        if name not in known:
            there_are = ", ".join(known)
            raise ConfigError(
                f"--against is {names!r}; there is no model {name!r}{nearest(name, known)} (there are: {there_are})"
            )
    return {name: compose.composed([f"model={name}"]).model for name in dict.fromkeys(names.split(","))}
