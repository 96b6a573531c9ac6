"""docs/experiments.md, made from docs/experiments.md.j2 and the figures that were kept of each experiment."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError

from publishing.results import ClaimError, Results, read
from vision_baselines.errors import DataError
from vision_baselines.evaluation.receipt import read_receipt

ROOT = Path(__file__).resolve().parents[3]
PAGE, TEMPLATE = ROOT / "docs" / "experiments.md", ROOT / "docs" / "experiments.md.j2"
RESULTS, CURVES, EXPERIMENTS = ROOT / "docs" / "results", ROOT / "docs" / "curves", ROOT / "conf" / "experiment"


class _Known:
    """The experiments that a page asks for, each read once."""

    def __init__(self, folder: Path, claims: Mapping[str, int]) -> None:
        self.folder, self.claims = folder, claims
        self.found: dict[str, Results] = {}

    def __call__(self, name: str) -> Results:
        if name not in self.found:
            try:
                self.found[name] = read(self.folder / f"{name}.json")
            except OSError as error:
                raise ClaimError(f"experiment {name} was not published: {error}") from error
            except ValueError as error:
                raise ClaimError(f"{name}.json: {error}; publish.py keep {name} writes it anew") from error
            self.found[name].claims = self.claims.get(name, 0)
        return self.found[name]


def rendered(template: Path = TEMPLATE, results: Path = RESULTS) -> str:
    """The page as the figures have it.

    Rendered twice: how many claims are made of an experiment decides how wide the interval of each is.

    Raises:
        ClaimError: A sentence is not supported by the figures, or asks for what an experiment does not have.
    """
    text, claims = "", dict[str, int]()
    pages = Environment(
        loader=FileSystemLoader(template.parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for _ in range(2):
        known = _Known(results, claims)
        try:
            text = pages.get_template(template.name).render(experiment=known)
        except (
            ClaimError,
            TemplateError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            raise ClaimError(f"{template.name}, line {_line(error, template)}: {error}") from error
        claims = {name: len(of.made) for name, of in known.found.items()}
    return text


def unfit(results: Path = RESULTS, receipts: Path = EXPERIMENTS, curves: Path = CURVES) -> Iterator[str]:
    """What is wrong with the files that figures belong to: an experiment's receipt and its picture."""
    for path in sorted(results.glob("*.json")):
        name, picture = path.stem, curves / f"{path.stem}.png"
        try:
            found, receipt = read(path), read_receipt(receipts / path.name).sha256
            shown = sha256(picture.read_bytes()).hexdigest() if found.picture_sha256 else ""
        except (OSError, ValueError, DataError) as error:
            yield f"{name}: {error}"
            continue
        if found.receipt_sha256 != receipt:
            yield f"{name}: its figures are not of the receipt beside its file"
        if found.picture_sha256 != shown:
            yield f"{name}: {picture.name} is not the picture of its figures"


def _line(error: Exception, template: Path) -> int | None:
    """The line of the template at which it ended."""
    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == template]
    return frames[-1].lineno if frames else None
