"""Links of the pages that Sphinx cannot settle by itself: to files outside docs/, and from a key to its description.

A page is also read on a code host, so it links to ``../src/…`` as it lies in the checkout. Here such a link leads to
the site's own page of that file where there is one, else to a copy of the file; a folder's link becomes text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

from documentation.config_keys import keys

ROOT = Path(__file__).resolve().parents[3]
# Files outside docs/ that are pages of the site.
PAGES = {"README.md": "index", "CONTRIBUTING.md": "development/contributing", "CHANGELOG.md": "changelog"}
_KEY = re.compile(r"\+?([a-z_]+(?:\.\w+)*)(?:=\S*)?")


class OutsideLinks(SphinxTransform):
    """Links to files and folders of the checkout that lie outside docs/."""

    default_priority = 100

    def apply(self, **_: object) -> None:
        """Replace them."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node.get("reftype") == "myst" and "://" not in node["reftarget"]:
                self._settle(node, folder)

    def _settle(self, node: addnodes.pending_xref, folder: Path) -> None:
        docs = Path(self.env.srcdir)
        start = docs if node.get("refdomain") == "doc" else folder
        suffix = ".md" if node.get("refdomain") == "doc" else ""
        name, _, anchor = node["reftarget"].partition("#")
        place = Path(os.path.normpath(start / f"{name}{suffix}"))
        if (
            not name
            or not place.exists()
            or not place.is_relative_to(ROOT)
            or (place.is_relative_to(docs) and place.is_file())
        ):
            return
        relative = place.relative_to(ROOT).as_posix()
        if relative in PAGES:
            node["refdomain"], node["reftarget"] = "doc", PAGES[relative]
            node["reftargetid"] = node.get("reftargetid") or anchor or None
        else:
            node.replace_self(nodes.inline("", "", *node.children, classes=["in-the-checkout"]))


class KeyLinks(SphinxTransform):
    """Makes each config key in a page's text, such as ``data.folds`` or ``seed=0,1``, lead to its description."""

    default_priority = 110

    def apply(self, **_: object) -> None:
        """Wrap the literals that are keys."""
        if self.env.docname.startswith("reference/config"):
            return
        known = set(keys())
        for node in list(self.document.findall(nodes.literal)):
            match = _KEY.fullmatch(node.astext())
            if not match or match[1] not in known or _inside_link(node):
                continue
            xref = addnodes.pending_xref(
                "", refdomain="std", reftype="confval", reftarget=match[1], refexplicit=True, refdoc=self.env.docname
            )
            node.replace_self(xref)
            xref += node
            known.discard(match[1])  # once a page


def _inside_link(node: nodes.Node) -> bool:
    kinds = (nodes.reference, addnodes.pending_xref, addnodes.download_reference, nodes.title)
    while (node := node.parent) is not None:
        if isinstance(node, kinds):
            return True
    return False
