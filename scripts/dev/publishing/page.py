"""docs/experiments.md, made from docs/experiments.md.j2 and the figures that were kept of each experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from publishing.results import ClaimError, Results, read

ROOT = Path(__file__).resolve().parents[3]
PAGE, TEMPLATE = ROOT / "docs" / "experiments.md", ROOT / "docs" / "experiments.md.j2"
RESULTS, CURVES = ROOT / "docs" / "results", ROOT / "docs" / "curves"


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
            self.found[name].claims = self.claims.get(name, 0)
        return self.found[name]


def rendered(template: Path = TEMPLATE, results: Path = RESULTS) -> str:
    """The page as the figures have it.

    Rendered twice: how many claims are made of an experiment decides how wide the interval of each is.

    Raises:
        ClaimError: A sentence is not supported by the figures, or asks for what an experiment does not have.
    """
    text, claims = "", dict[str, int]()
    for _ in range(2):
        known = _Known(results, claims)
        page = Environment(
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        text = page.from_string(template.read_text()).render(experiment=known)
        claims = {name: len(of.made) for name, of in known.found.items()}
    return text
