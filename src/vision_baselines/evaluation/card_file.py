"""A model card as a file: whether it is as it was written, and its sections about files that still are.

Its first line has a hash of what follows, so that a card that somebody wrote into is not replaced; a section begins
with the hashes of its file and of the net in it, so that it is kept while both hold.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import quote, unquote

from vision_baselines.errors import ConfigError
from vision_baselines.storage.reading import file_sha256, read_regular

_FIRST = re.compile(r"<!-- model card by vision-baselines export, ([0-9a-f]{64}) -->\n")
_SECTION = re.compile(r"<!-- file (\S+) ([0-9a-f]{64}) of (\S*) -->\n.*?<!-- end of file -->\n", re.DOTALL)
_MOST_BYTES = 2**24


def signed(body: str) -> str:
    """A card's whole text."""
    return f"<!-- model card by vision-baselines export, {hashlib.sha256(body.encode()).hexdigest()} -->\n{body}"


def read_card(path: Path) -> str | None:
    """A card's text below its first line; None where the file is no card, or was changed after it was written."""
    try:
        text = read_regular(path, most_bytes=_MOST_BYTES).decode()
    except (OSError, ValueError):
        return None
    first = _FIRST.match(text)
    body = text[first.end() :] if first else ""
    return body if first and hashlib.sha256(body.encode()).hexdigest() == first[1] else None


def as_section(name: str, sha256: str, weights: str, text: str) -> str:
    """A card's section about a file of that name and content, which holds the net of these weights."""
    return f"<!-- file {quote(name)} {sha256} of {weights} -->\n{text}<!-- end of file -->\n"


def other_files(path: Path, target: Path, weights: str, *, force: bool = False) -> list[str]:
    """Sections of the card at `path` about other files than `target` that are still as they were.

    Raises:
        ConfigError: One of them holds another net, whose card would be lost.
    """
    found = []
    for section in _SECTION.finditer(read_card(path) or ""):
        name, sha256, of = unquote(section[1]), section[2], section[3]
        other = path.with_name(name)
        if name == target.name or not other.is_file() or file_sha256(other) != sha256:
            continue
        if of == weights:
            found.append(section[0])
        elif not force:
            raise ConfigError(
                f"{str(path)!r} is the model card of {name}, which holds another net; choose another name for "
                f"{target.name}, or --force to replace it"
            )
    return found
