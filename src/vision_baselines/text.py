"""Text for a terminal: foreign text made safe to print, on one line, and shortened; counts with their nouns.

Text from a config, a class name or an error is foreign: it may hold terminal escapes, marks that reverse the
reading direction, or bytes that are not UTF-8. `printable` makes it safe to print; escaping for HTML or
Markdown is left to those who write these.
"""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

_TERMINAL_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: object) -> str:
    r"""`text` with terminal escapes dropped and other unprintable characters spelled out.

    Newlines and tabs stay.

    >>> printable("a\x1b[31mb\x00c\u202ed")
    'ab\\x00c\\u202ed'
    """
    text = str(text)
    if text.isascii() and text.isprintable():  # nearly all text is
        return text
    plain = _TERMINAL_ESCAPE.sub("", text.replace("\r\n", "\n"))
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), plain)


def one_line(text: object, length: int = 0) -> str:
    r"""`printable` text on one line, its end cut at `length` characters (0: no limit).

    >>> one_line("loss\n  is nan", length=8)
    'loss is…'
    """
    if type(text) is str and " " not in text and text.isascii() and text.isprintable():  # a name or a setting
        line = text
    else:
        line = " ".join(printable(str(text).replace("\r", "\n")).split())
    return line if not length or len(line) <= length else line[: length - 1].rstrip() + "…"


def shortened(text: str, length: int) -> str:
    """`text` with its middle left out, so that both ends still tell it apart.

    >>> shortened("optimizer.lr=0.01, model=cnn", 15)
    'optimiz…del=cnn'
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


def told_apart(names: Iterable[str], length: int) -> dict[str, str]:
    """Each name in at most `length` characters, and no two of them alike.

    What differs is left in those that would be alike without their middles; where that alone is too long, they are
    numbered.

    >>> list(told_apart(["model=fc, lr=0.001, epochs=200", "model=fc, lr=0.002, epochs=200"], 15).values())
    ['model=…1…hs=200', 'model=…2…hs=200']
    """
    shown = {name: shortened(name, length) for name in names}
    for alike in _alike(shown):
        start = _shared_start(alike)
        end = _shared_start([name[start:][::-1] for name in alike])
        shown.update((name, _with_part(name, start, len(name) - end, length)) for name in alike)
    taken = set(shown.values())
    for alike in _alike(shown):
        number = 0
        for name in alike:
            while (found := _marked(name, f"~{(number := number + 1)}", length)) in taken:
                pass
            taken.add(found)
            shown[name] = found
    return shown


def _shared_start(names: Sequence[str]) -> int:
    """How many first characters are the same in all."""
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(last)))


def _alike(shown: Mapping[str, str]) -> list[list[str]]:
    by_text = defaultdict(list)
    for name, text in shown.items():
        by_text[text].append(name)
    return [names for names in by_text.values() if len(names) > 1]


def _with_part(name: str, start: int, end: int, length: int) -> str:
    """A name of at most `length` characters that has its part from `start` to `end`, if that can be."""
    room = max(0, length - (end - start))
    after = min(len(name) - end, room // 2)
    before = min(start, room - after)
    after = min(len(name) - end, room - before)
    if (start and not before) or (end < len(name) and not after):
        return shortened(name, length)
    head = name[:start] if before == start else f"{name[: before - 1]}…"
    tail = name[end:] if after == len(name) - end else f"…{name[len(name) - after + 1 :]}"
    return head + name[start:end] + tail


def _marked(name: str, mark: str, length: int) -> str:
    return shortened(name, max(1, length - len(mark))) + mark


def wrapped(text: str, width: int, *, hang: int = 0) -> str:
    """Lines of at most `width` characters, broken between words alone; a longer word is a line of its own.

    The rest of a line begins `hang` characters to the right of its first word. 0: no limit.

    >>> print(wrapped("  p = 0.002 of 3 pairs in /long/path/to/a/page.html", 20))
      p = 0.002 of 3
      pairs in
      /long/path/to/a/page.html
    """
    if not width:
        return text
    return "\n".join(part for line in text.split("\n") for part in _wrapped(line, width, hang))


def _wrapped(line: str, width: int, hang: int) -> list[str]:
    if len(line) <= width:
        return [line]
    indent = (line[: len(line) - len(line.lstrip())] + hang * " ")[: width // 2]
    lines = textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        expand_tabs=False,
    )
    return lines or [""]


def plural(n: int, noun: str) -> str:
    """`n` and its noun.

    >>> plural(1, "job"), plural(3, "job"), plural(2, "class"), plural(15, "epoch")
    ('1 job', '3 jobs', '2 classes', '15 epochs')
    """
    hisses = noun.endswith(("s", "x", "z", "sh", "ch")) and not noun.endswith("epoch")
    return f"{n:,} {noun}{'' if n == 1 else 'es' if hisses else 's'}"


def listed(names: Sequence[str], limit: int = 6, between: str = ", ") -> str:
    """`names` as an enumeration that stops at `limit`; names that hold a comma need something else `between` them.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], limit=2)
    ('a, b, c', 'a, b and 1 more')
    """
    rest = len(names) - limit
    return between.join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def duration(seconds: float) -> str:
    """How long something takes, about.

    >>> duration(42.4), duration(600), duration(90_000)
    ('42 s', '10 min', '25 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
