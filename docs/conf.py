"""How the documentation is built: ``sphinx-build -W -b html docs docs/_build``."""

from __future__ import annotations

import re
from pathlib import Path

_version = re.search(
    r'__version__ = "([^"]+)"',
    (Path(__file__).parents[1] / "upsell" / "__init__.py").read_text(),
)

project = "django-upsell"
author = "django-upsell contributors"
copyright = author  # noqa: A001 - the name that Sphinx reads
release = version = _version[1] if _version else ""

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"django-upsell {release}"
html_show_sphinx = False
html_static_path: list[str] = []
