"""Sphinx's settings: ``make docs`` builds the site in docs/_build/html."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "scripts" / "dev")]

import vision_baselines  # noqa: E402

project = "vision-baselines"
version = release = vision_baselines.__version__
project_copyright = ""
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "documentation.extension"]
exclude_patterns = ["_build"]
root_doc = "index"

# Markdown: a heading has the anchor that code hosts give it
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "fieldlist"]
# a part of the README that is included may begin at its second level; notebooks have lines of the shell in their Python
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

# API: from docstrings, in their order
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
default_role = "literal"
add_module_names = False
maximum_signature_line_length = 80
# other packages' names lead nowhere here: the site is read offline
nitpick_ignore_regex = [
    ("py:.*", r"(?!vision_baselines\.).*"),
    ("py:.*", r"vision_baselines\.(\w+\.)*_\w+"),  # in a type's annotation; private names have no page
]

html_theme = "furo"
html_title = "vision-baselines"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(ROOT / "docs" / "_static" / "scorer.js")
html_copy_source = False
html_show_search_summary = False  # browsers do not let a page read files beside it
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "monokai"
