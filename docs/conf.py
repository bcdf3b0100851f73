from docutils import nodes

import skscn
from skscn._data import sklearn_compat

project = "skscn"
author = "The skscn developers"
copyright = "2026, The skscn developers"
release = skscn.__version__
version = release

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas need no network, either
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "skscn"
html_theme_options = {
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
}
html_static_path = ["_static"]
html_css_files = ["skscn.css"]
# Pages that are not part of a section have nothing to navigate to.
html_sidebars = {
    name: []
    for name in ("getting_started", "choosing", "coming_from", "glossary", "changelog")
}
html_show_sourcelink = False

# numpydoc shows the types of parameters, and the class template lists the methods.
autodoc_typehints = "none"
numpydoc_show_class_members = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# HTML representations in the gallery, auto_examples/<section>/<page>, link to the API.
sklearn_compat.DOCUMENTATION = "../.."

# The gallery runs every script in the sections of examples/, and stops at the first
# error.
SECTIONS = [
    "first_steps",
    "tables",
    "images",
    "signals",
    "anomalies",
    "probability",
    "networks",
    "scale",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "subsection_order": [f"../examples/{section}" for section in SECTIONS],
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"^_",
    "abort_on_example_error": True,
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skscn",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"skscn": None},
    "download_all_examples": False,
}

# The build needs no network, so there is no intersphinx. References to other packages,
# some of them in inherited docstrings, become links to their stable pages. Terms that
# are not in our glossary are those of scikit-learn's.
SKLEARN = "https://scikit-learn.org/stable/"
SKLEARN_PAGES = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "modules/df_output_transform.html",
    "metadata_routing": "metadata_routing.html",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}
GENERATED_PAGES = {
    "sklearn": f"{SKLEARN}modules/generated/",
    "joblib": "https://joblib.readthedocs.io/en/stable/generated/",
    "numpy": "https://numpy.org/doc/stable/reference/generated/",
    "pandas": "https://pandas.pydata.org/docs/reference/api/",
}


def link_external_reference(app, env, node, contnode):
    """Link references to the documentation of other packages."""
    kind, target = node.get("reftype"), node.get("reftarget", "")
    package = target.partition(".")[0]
    if kind == "term":
        address = f"{SKLEARN}glossary.html#term-{target.replace(' ', '-')}"
    elif kind == "ref" and target in SKLEARN_PAGES:
        address = SKLEARN + SKLEARN_PAGES[target]
    elif node.get("refdomain") == "py" and package in GENERATED_PAGES:
        address = f"{GENERATED_PAGES[package]}{target}.html"
    else:
        return None
    return nodes.reference("", "", contnode, refuri=address, internal=False)


def setup(app):
    app.connect("missing-reference", link_external_reference)
