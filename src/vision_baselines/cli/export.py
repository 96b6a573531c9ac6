"""``export RUN FILE.pt2|FILE.onnx``: a run's net as one file that runs without this package, and its model card."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from vision_baselines.cli.arguments import Parser, file_path, positive
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.outputs import deliver, is_printed, say, text_apart
from vision_baselines.config.compose import register_resolvers
from vision_baselines.errors import single_line
from vision_baselines.terminal import print_prose

if TYPE_CHECKING:
    from vision_baselines.evaluation.exported import Exported

_DESCRIPTION = """Write the net of a finished run to one file: uint8 pictures (N, C, H, W) in, probabilities (N, K) out,
with normalisation and softmax inside. The file is compared with the net on the test images before it is written, and a
model card in Markdown goes beside it. A file that is there is replaced."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Export a run; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _export(given))


def _export(arguments: list[str]) -> None:
    parser = Parser(prog="export.py", description=_DESCRIPTION)
    parser.add_argument("run", type=file_path, help="the folder of a finished run")
    parser.add_output("file", "", help="where to write it: .pt2 for torch.export, .onnx for ONNX")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="where the data are: paths.data_dir=…, data.source.root=…"
    )
    parser.add_argument("--no-check", action="store_true", help="compare on random pictures; no test images are read")
    parser.add_argument("--force", action="store_true", help="replace a Markdown file of your own by the model card")
    parser.add_argument("--threads", type=positive, metavar="N", help="default: as many as the run was trained with")
    parser.add_data_options("what was written and how it compares")
    parser.add_trust()
    options = parser.parse_intermixed_args(arguments)
    register_resolvers()
    if not is_printed(options):
        say(f"exporting {options.run}", to_stderr=True)
    from vision_baselines.evaluation.export import export

    with text_apart(options):
        found = export(
            options.run,
            options.file,
            check=not options.no_check,
            force=options.force,
            threads=options.threads,
            overrides=options.overrides,
            trusted_packages=options.trust,
        )
    deliver(options.json, found.facts())
    if not is_printed(options):
        _show(found)


def _show(found: Exported) -> None:
    from vision_baselines.comparison.formatting import plural, size

    channels, height, width = found.image_shape
    classes, agreed = len(found.class_names), found.agreement
    print_prose(
        f"{single_line(found.path)}: {found.format.name}, {size(found.size_bytes)}, computes in {found.computes_in}\n"
        f"  in   images uint8 (N, {channels}, {height}, {width})\n"
        f"  out  probabilities float32 (N, {classes})"
    )
    ties = f", {plural(agreed.ties, 'tie')} within rounding" if agreed.ties else ""
    print_prose(
        f"compared with the net on {agreed.images:,} {agreed.of}: probabilities differ by at most "
        f"{agreed.largest_difference:.1e} (accepted: {agreed.tolerance:g}), same class for {agreed.same_class:,}{ties}"
    )
    if agreed.accuracy is not None:
        print_prose(f"the file is right for {agreed.accuracy:.2%} of them")
    if agreed.depends_on_batch:
        print_prose("the answer for a picture depends on the others in its batch, as the net's own does")
    for batch, (net, file) in found.latency_s.items():
        threads = plural(found.threads, "thread")
        print_prose(
            f"{plural(batch, 'picture')}: {file * 1000:.3g} ms, the net {net * 1000:.3g} ms (median, {threads})"
        )
    say(f"{found.card}: model card")
