"""Pages to play with: each is one HTML file with its style, script and data inside.

They open from the disk and ask nobody for anything. The policy of a page allows exactly its own script, by hash, so
a mistake in escaping could not act.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def interactive_page(name: str, data: Mapping[str, Any]) -> bytes:
    """The page `name` (``edge_page`` or ``chain_page``), filled with what its script reads, which JSON can hold."""
    folder = Path(__file__).parent
    script = "\n".join((folder / file).read_text("utf-8") for file in ("interactive.js", f"{name}.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _templates().get_template(f"inspection/{name}.html.j2")
    text: str = template.render(data=data, script=Markup(script), script_sha256=Markup(digest))
    return f"{text}\n".encode()


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("vision_baselines", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
