"""What the pages have in common: templates, the script and its hash, and the section on where runs come from."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import Environment, FileSystemBytecodeCache, PackageLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import capital, one_line, plural, printable
from vision_baselines.comparison.mistake_lists import LABEL_ERRORS
from vision_baselines.comparison.mistakes import short_name
from vision_baselines.comparison.provenance import Variant, commands, commits, datasets, differing, environments
from vision_baselines.report.cells import breakable, breakable_head
from vision_baselines.report.marks import shape
from vision_baselines.report.tables import failure_reason

_VARIANTS_SHOWN = 6
_COMMANDS_SHOWN = 4


@cache
def script() -> dict[str, Markup]:
    """The pages' script, and the hash by which their policy allows it and nothing else."""
    text = (Path(__file__).parent / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"script": Markup(text), "script_sha256": Markup(digest)}


def template(name: str) -> Any:
    """A template of this package, with what all of them can call."""
    return _environment().get_template(name)


def provenance(groups: Sequence[tuple[Job, ...]]) -> dict[str, Any]:
    """What the section on where the jobs of some groups come from is filled with."""
    return {
        "commands": [dict(variant.facts)["command"] for variant in commands(groups)],
        "commands_shown": _COMMANDS_SHOWN,
        "code": _variants(commits(groups)),
        "data": _variants(datasets(groups)),
        "environments": _variants(environments(groups)),
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vision_baselines", "report"),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Compiled() if not sys.dont_write_bytecode else None,
    )
    for function in (plural, one_line, capital, breakable, breakable_head, png_source, described, image_name):
        environment.filters[function.__name__] = function
    environment.globals |= {
        "failure_reason": failure_reason,
        "shape": shape,
        "label_errors": LABEL_ERRORS,
    }
    return environment


class _Compiled(FileSystemBytecodeCache):
    """Compiled templates beside the compiled modules: to compile them is most of what a page costs.

    Jinja compares a template's text with that of which it kept the code. What else decides the code, the settings in
    this module and Jinja's version, is a part of the file's name.
    """

    def __init__(self) -> None:
        settings = hashlib.sha256(Path(__file__).read_bytes() + jinja2.__version__.encode()).hexdigest()[:12]
        place = Path(importlib.util.cache_from_source(__file__)).parent
        super().__init__(str(place), f"{sys.implementation.cache_tag}-{settings}-%s.template")

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):  # where Python cannot keep what it compiles either
            super().dump_bytecode(bucket)

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            super().load_bytecode(bucket)
        except Exception:  # a file cut short: what unpickling raises of one is not known
            bucket.reset()


def _finalized(value: Any) -> Any:
    """What the template writes: markup as it is, text without what cannot be printed."""
    return value if isinstance(value, Markup) or (type(value) is str and value.isprintable()) else printable(value)


def _variants(found: list[Variant]) -> dict[str, Any]:
    """The first variants side by side: how many jobs had each, and for each fact its values and whether they differ."""
    shown = found[:_VARIANTS_SHOWN]
    different = differing(found)
    names = dict.fromkeys(name for variant in shown for name, _ in variant.facts)
    return {
        "n_jobs": [variant.n_jobs for variant in shown],
        "n_left_out": len(found) - len(shown),
        "facts": [
            (name, [dict(variant.facts).get(name, "absent") for variant in shown], name in different) for name in names
        ],
    }


def png_source(content: bytes) -> str:
    """A PNG as the source of an image."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def image_name(image: str) -> str:
    """What an image is called, with its middle left out where it is long."""
    return short_name(image, 40)


def described(svg: str, text: str) -> Markup:
    """A figure's own markup, as an image that a screen reader can name."""
    return Markup(svg.replace("<svg", Markup('<svg role="img" aria-label="{}"').format(printable(text)), 1))
