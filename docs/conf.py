"""Sphinx: python -m sphinx -W --keep-going -b html docs build/docs. Nothing is fetched from the network."""

import re
import warnings
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning

import fastmlp

project = "fastmlp"
author = "the fastmlp developers"
version = release = fastmlp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]
default_role = "literal"  # single backticks in docstrings are names
smartquotes = False  # "relu" is to be copied
nitpicky = True
nitpick_ignore_regex = [(r"py:\w+", r"sklearn\..+")]  # no inventory is fetched

html_theme = "pydata_sphinx_theme"
html_title = "fastmlp"
html_static_path = ["_static"]
html_css_files = ["fastmlp.css"]
html_show_sourcelink = False
html_domain_indices = False  # one module has nothing to find
html_theme_options = {
    "navbar_align": "left",
    # pages of wide tables get the room
    "secondary_sidebar_items": {
        "**": ["page-toc"],
        **dict.fromkeys(("comparison", "measured", "performance", "speed"), []),
    },
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
html_sidebars = dict.fromkeys(("install", "gallery/*", "comparison", "faq", "proofs", "development"), [])
copyright = "the fastmlp developers, BSD 3-Clause licence"  # noqa: A001

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

# The public names are those of fastmlp.__all__
GENERATED = Path(__file__).parent / "generated"
GENERATED.mkdir(exist_ok=True)
(GENERATED / "api.rst").write_text(
    "\n".join(
        [
            *("API reference", "=============", "", ".. automodule:: fastmlp", "", ".. currentmodule:: fastmlp", ""),
            *(".. autosummary::", "   :toctree: .", ""),
            *(f"   {name}" for name in fastmlp.__all__ if not name.startswith("_")),
        ]
    )
    + "\n"
)
# Pages that stand at the root of the repository, with their links as they are from here
AT_THE_ROOT = "CHANGELOG|CODE_OF_CONDUCT|CONTRIBUTING|SECURITY"
for page in AT_THE_ROOT.split("|"):
    text = (Path(__file__).parents[1] / f"{page}.md").read_text()
    (GENERATED / f"{page}.md").write_text(text.replace("](docs/", "](../"))
autodoc_typehints = "none"
numpydoc_show_class_members = False  # the templates list them
# All of numpydoc's checks but those of style that this project does without
numpydoc_validation_checks = {
    "all",
    "EX01",  # no examples: the class has them
    "ES01",  # no extended summary
    "SA01",  # no "See Also"
    "GL01",  # the summary begins in the line of the quotes
    "RT02",  # what is returned has no name: scikit-learn's have
    "RT03",  # a description of what is returned, where its name says it
    "SS05",  # takes "Predicts" and "Probabilities" for the same fault
}
numpydoc_validation_exclude = {  # what is inherited from scikit-learn
    rf"^fastmlp\.{name}\.{member}$"
    for name, public in vars(fastmlp).items()
    for member in dir(public)
    if (getattr(getattr(public, member, None), "__module__", None) or "").startswith("sklearn.")
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(^|/)(?!plot_)\w+\.py$",
    "within_subsection_order": "ExampleTitleSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("fastmlp",),
    "abort_on_example_error": True,
    "capture_repr": (),
    "remove_config_comments": True,
    "download_all_examples": False,
    "write_computation_times": False,  # a page with assets from elsewhere
    "show_signature": False,
    "image_srcset": ["2x"],
}

warnings.simplefilter("ignore", ConvergenceWarning)  # examples end some trainings early on purpose


def _link_pages(app, what, name, obj, options, lines):
    """In our docstrings docs/PAGE.md is that page; scikit-learn's refer to pages that are not here."""
    if (getattr(obj, "__module__", None) or "").startswith("sklearn."):
        lines[:] = [re.sub(r":(?:ref|term):`([^`<]+?)(?: *<[^`]*>)?`", r"\1", line) for line in lines]
    else:
        lines[:] = [re.sub(r"docs/(\w+)\.md", r":doc:`/\1`", line) for line in lines]


def _link_outside(app, page, source):
    """Links out of docs/, which work in the repository, lead to the pages that have these files."""
    source[0] = re.sub(r"\(\.\./bench/results/([\w-]+)\.md\)", r"(#measured-\1)", source[0])
    source[0] = re.sub(rf"\(\.\./({AT_THE_ROOT})\.md", r"(generated/\1.md", source[0])


def setup(app):
    app.connect("source-read", _link_outside)
    app.connect("autodoc-process-docstring", _link_pages)
