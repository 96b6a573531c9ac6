"""The Sphinx extension: fills the pages that are made when the site is built, and settles links out of docs/."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from documentation import command_pages, config_pages
from documentation.links import KeyLinks, OutsideLinks

# <!-- toctree Caption: howto/* --> and <!-- made: config data --> stand in pages that a code host shows too, where they
# are not seen
_MARK = re.compile(r"^<!-- (toctree|made)\b(.*?): (.+?) -->$", re.MULTILINE)
_MADE: dict[str, Callable[[str], str]] = {
    "config": config_pages.group_page,
    "groups": config_pages.groups_table,
    "experiments": config_pages.experiments_page,
    "commands": command_pages.commands_page,
}


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", _fill)
    app.add_transform(OutsideLinks)
    app.add_transform(KeyLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(app: Any, name: str, source: list[str]) -> None:
    """Replace the marks of a page by what they stand for."""
    folder = Path(app.env.doc2path(name)).parent
    for kind, _, words in _MARK.findall(source[0]):
        if kind == "made":
            app.env.note_reread()  # what it is made from may have changed
        elif "*" in words:
            app.env.glob_toctrees.add(name)  # another page may match
    source[0] = _MARK.sub(lambda mark: filled(*mark.groups(), folder=folder, page=name), source[0])


def filled(kind: str, caption: str, words: str, *, folder: Path, page: str) -> str:
    """What one mark stands for, as Markdown.

    Args:
        kind: ``toctree`` or ``made``.
        caption: What stands above the pages in the navigation; without one, the list is also shown where it stands.
        words: Pages or patterns of pages, of which one may match nothing; or what is made.
        folder: Where the page lies.
        page: Its name, which a pattern does not match.
    """
    if kind == "made":
        what, _, argument = words.partition(" ")
        return _MADE[what](argument)
    pages = pages_of(words, folder)
    listed = [name for name in pages if name != page.rpartition("/")[2]]
    shown = f":hidden:\n:caption:{caption}\n" if caption else ":maxdepth: 1\n"
    return "```{toctree}\n" + shown + "\n" + "\n".join(listed) + "\n```"


def pages_of(words: str, folder: Path) -> list[str]:
    """The pages that patterns name, each once, in their order and within a pattern by name."""
    found = (sorted(folder.glob(f"{word}.md")) if "*" in word else [folder / f"{word}.md"] for word in words.split())
    return list(dict.fromkeys(path.relative_to(folder).with_suffix("").as_posix() for paths in found for path in paths))
