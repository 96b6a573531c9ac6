"""``filters RUN [N …] [--layer NAME]``: a finished run's filters in numbers, each with what it resembles most."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vision_baselines.cli.arguments import Parser, file_path
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import config_dir_known
from vision_baselines.cli.outputs import deliver, is_printed, say, writing
from vision_baselines.config.compose import register_resolvers
from vision_baselines.errors import ConfigError
from vision_baselines.terminal import console, print_prose

if TYPE_CHECKING:
    from vision_baselines.evaluation.filters import LayerFilters

_DESCRIPTION = """Shape, mean and standard deviation of a layer's weights, and its filters as signed numbers; below each
the edge, bar or blob that it resembles most and their cosine, which is negative where the filter is that kernel's
negative. An edge's kernel is bright below its line, or on the right of a vertical one."""
_PIPE_WIDTH = 100  # of filters side by side, where there is no terminal
_FIRST = 4  # filters that are printed unless others are named
_MOST_NUMBERS = 11 * 11  # a filter that is larger, such as a dense unit's 28×28, cannot be read in numbers
_CHANNELS = 3  # input channels that are printed of a filter that has more
_TILES = 6
_MOST_DRAWN = 64


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Print, and perhaps draw, the filters of a finished run; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _run(given))


def _run(arguments: list[str]) -> None:
    parser = Parser(prog="filters.py", description=_DESCRIPTION)
    parser.add_argument("run", type=file_path, help="the folder of a finished run")
    parser.add_argument(
        "filters", nargs="*", metavar="N", help=f"which filters, from 0; the first {_FIRST} if left out"
    )
    parser.add_argument("--all", action="store_true", help="all filters")
    parser.add_argument(
        "--layer", metavar="NAME", help="a convolution, such as features.1.0; the first layer if left out"
    )
    parser.add_argument(
        "--before", action="store_true", help="the weights before training too, beside the trained ones"
    )
    parser.add_data_options("the filters")
    parser.add_output(
        "--out", ".png", makes_folders=True, metavar="FILE.png", help="draw the filters, 64 of them; --all draws all"
    )
    parser.add_config_options()
    options = parser.parse_intermixed_args(arguments)
    out, is_data = options.out, is_printed(options)
    if options.all and options.filters:
        raise ConfigError("--all goes with no numbers of filters; leave one of them out")
    if wrong := [text for text in options.filters if not (text.isascii() and text.isdigit())]:
        raise ConfigError(f"{wrong[0]!r} is not the number of a filter; expected filters.py RUN 0 5 7")
    register_resolvers()
    from vision_baselines.evaluation.filters import filters_of_run

    with config_dir_known(options.config_dir):
        found = filters_of_run(options.run, options.layer, before=options.before, trusted_packages=options.trust)
    count = len(found.trained)
    chosen = (
        list(range(count if options.all else min(_FIRST, count)))
        if not options.filters
        else list(dict.fromkeys(map(int, options.filters)))
    )
    if beyond := [index for index in chosen if index >= count]:
        raise ConfigError(f"there is no filter {beyond[0]}; {found.layer} has {count}, numbered from 0")
    facts = _facts(found, chosen) | {"run": str(options.run)}
    deliver(options.json, facts)
    if not is_data:
        _print(found, facts)
    if out:
        if len(facts["filters"]) == count > _MOST_DRAWN:
            _draw_all(found, out)
        else:
            _draw(found, facts, out)
        if not is_data:
            say(out)


def _facts(found: LayerFilters, chosen: Sequence[int]) -> dict[str, Any]:
    """Everything that is printed, as JSON can hold it."""
    trained, untrained = found.trained, found.untrained
    facts: dict[str, Any] = {"layer": found.layer, **_summary(trained)}
    if untrained is not None:
        facts["before_training"] = _summary(untrained)
    kinds, before = _kinds(trained), _kinds(untrained) if untrained is not None else None
    facts["filters"] = []
    for index in chosen:
        squares = (trained[index].astype(float) ** 2).sum(axis=(1, 2))
        shares = squares / (squares.sum() or 1.0)
        row = {"index": index, "weights": trained[index].tolist(), **(kinds[index] if kinds else {})}
        row["channel_shares"] = [round(float(share), 6) for share in shares]
        if untrained is not None:
            row["before_training"] = {"weights": untrained[index].tolist(), **(before[index] if before else {})}
            row["cosine_with_before"] = _cosine(trained[index], untrained[index])
        facts["filters"].append(row)
    return facts


def _summary(weights: NDArray[np.float32]) -> dict[str, Any]:
    import torch

    from vision_baselines.analysis.filter_grid import edge_similarity, random_filters

    facts = {
        "shape": list(weights.shape),
        "mean": float(weights.mean(dtype=float)),
        "std": float(weights.std(dtype=float)),
    }
    if min(weights.shape[2:]) > 1:
        tensor = torch.from_numpy(weights)
        similar = {"resemblance": tensor, "resemblance_of_random": random_filters(tensor)}
        facts |= {name: float(edge_similarity(filters).mean()) for name, filters in similar.items()}
    return facts


def _kinds(weights: NDArray[np.float32]) -> list[dict[str, Any]] | None:
    """What each filter resembles; None for filters of one pixel."""
    import torch

    from vision_baselines.analysis.filter_grid import resemblances

    if min(weights.shape[2:]) < 2:
        return None
    return [{"resembles": kind.name, "cosine": kind.cosine} for kind in resemblances(torch.from_numpy(weights))]


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    a, b = one.astype(float).ravel(), other.astype(float).ravel()
    return float(a @ b / ((np.linalg.norm(a) * np.linalg.norm(b)) or 1.0))


def _print(found: LayerFilters, facts: dict[str, Any]) -> None:
    say(f"{facts['run']}: {found.layer}")
    for moment, summary in (("", facts), ("before training: ", facts.get("before_training"))):
        if not summary:
            continue
        mean, std = _signed(summary["mean"], 4), f"{summary['std']:.4f}"
        print_prose(f"  {moment}shape ({', '.join(map(str, summary['shape']))}), mean {mean}, standard deviation {std}")
        if "resemblance" in summary:
            kind, chance = summary["resemblance"], summary["resemblance_of_random"]
            print_prose(
                f"  {moment}mean best cosine with an edge, bar or blob {kind:.2f}; of random filters {chance:.2f}"
            )
    blocks = [_block(row) for row in facts["filters"]]
    width = max(len(line) for block in blocks for line in block)
    out = console()
    columns = max(1, ((out.width if out.is_terminal else _PIPE_WIDTH) + 3) // (width + 3))
    for start in range(0, len(blocks), columns):
        print()
        for lines in zip_longest(*blocks[start : start + columns], fillvalue=""):
            print("   ".join(f"{line:<{width}}" for line in lines).rstrip())
    if len(blocks) < len(found.trained):
        print(f"\n{len(blocks)} of {len(found.trained)} filters; --all prints all")


def _block(row: dict[str, Any]) -> list[str]:
    """A filter in lines: its number, the input channels it combines, its weights, and what it resembles."""
    weights, shares = np.array(row["weights"]), np.array(row["channel_shares"])
    before = row.get("before_training")
    head, shown = f"filter {row['index']}", _strongest(shares, _CHANNELS)
    if len(shares) > 1:
        head += " of input channels " + ", ".join(f"{channel} ({shares[channel]:.0%})" for channel in shown)
    if len(shares) > len(shown):
        head += f" and {len(shares) - len(shown)} more"
    lines = [f"{head}{', and before training' if before else ''}"]
    if weights[0].size > _MOST_NUMBERS:
        lines.append(f"{weights.shape[1]}×{weights.shape[2]} numbers: --json prints them, --out draws them")
    else:
        grids = [_grid(weights[channel]) for channel in shown]
        if before:
            old = [_grid(np.array(before["weights"][channel])) for channel in shown]
            grids = [[f"{a}  |  {b}" for a, b in zip(*both, strict=True)] for both in zip(grids, old, strict=True)]
        lines += ["   ".join(parts) for parts in zip(*grids, strict=True)]
    if "resembles" in row:
        lines.append(_resemblance(row))
    if before:
        was = f"before {_resemblance(before)}; " if "resembles" in before else ""
        lines.append(f"{was}cosine of the two {_signed(row['cosine_with_before'])}")
    return lines


def _resemblance(row: dict[str, Any]) -> str:
    return f"{row['resembles']} {_signed(row['cosine'])}"


def _strongest(shares: NDArray[np.float64], most: int) -> list[int]:
    """Input channels with the largest shares of a filter's squared weights; all, in order, where there are few."""
    if len(shares) <= most:
        return list(range(len(shares)))
    return [int(channel) for channel in np.argsort(-shares, kind="stable")[:most]]


def _grid(weights: NDArray[Any]) -> list[str]:
    return [" ".join(_signed(value) for value in line) for line in weights]


def _signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a minus as wide as the plus.

    >>> _signed(-0.304), _signed(0.0), _signed(-0.001)
    ('−0.30', '+0.00', '−0.00')
    """
    return f"{value:+.{digits}f}".replace("-", "−")


def _draw_all(found: LayerFilters, out: Path) -> None:
    """As a run draws its first layer: too many for a label at each, so their numbers stand along the edges."""
    from vision_baselines.inspection.picture_files import write_file
    from vision_baselines.plots.export import pixels_png
    from vision_baselines.plots.filters import labelled_mosaic

    count, channels, height, width = found.trained.shape
    title = f"{count} filters of {found.layer}, {channels}×{height}×{width}"
    with writing(out):
        write_file(out, pixels_png(labelled_mosaic(found.trained, title)))


def _draw(found: LayerFilters, facts: dict[str, Any], out: Path) -> None:
    import torch

    from vision_baselines.analysis.filter_grid import resemblances
    from vision_baselines.evaluation.filters import FIRST
    from vision_baselines.inspection.picture_files import write_png
    from vision_baselines.plots.filter_kernels import tiles_figure

    rows = facts["filters"][:_MOST_DRAWN]
    weights = found.trained[[row["index"] for row in rows]]
    limit, channels = float(np.abs(weights).max()) or 1.0, weights.shape[1]
    tiles: list[tuple[str, NDArray[np.float32]]] = []
    if channels in (1, 3) and "cosine" in rows[0]:
        columns, what = 8, "each beside the edge, bar or blob that it resembles most"
        for row, one, kind in zip(rows, weights, resemblances(torch.from_numpy(weights)), strict=True):
            kernel = kind.kernel.numpy() * np.sign(kind.cosine or 1.0)
            kernel = np.repeat(kernel[None] / np.abs(kernel).max() * limit, channels, axis=0)
            tiles += [(f"filter {row['index']}", one), (f"{kind.name} {_signed(kind.cosine)}", kernel)]
    else:
        columns, what = min(_TILES, channels), "the input channels with the largest weights, and their share"
        for row, one in zip(rows, weights, strict=True):
            shares = np.array(row["channel_shares"])
            tiles += [
                (f"filter {row['index']}, channel {c}: {shares[c]:.0%}", one[c : c + 1])
                for c in _strongest(shares, columns)
            ]
    layer = "the first layer" if found.layer == FIRST else found.layer
    shown = f"{len(rows)} of {len(found.trained)} filters of {layer}" + (
        f" ({found.trained.shape[1]} input channels)" if channels > 1 else ""
    )
    with writing(out):
        write_png(out, lambda: tiles_figure(f"{shown}, {what}", tiles, columns, limit))
