from docutils import nodes

import skscn

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
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "skscn"
html_theme_options = {"navbar_align": "left", "show_toc_level": 2}
html_show_sourcelink = False

# Docstrings: numpydoc gives the types, the class template lists the methods.
autodoc_typehints = "none"
numpydoc_show_class_members = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The gallery runs every script directly under examples/ and stops at the first error.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
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

# No intersphinx: the build needs no network. Methods inherited from scikit-learn refer
# to these of its pages. This site has no glossary: every term is scikit-learn's.
SKLEARN = "https://scikit-learn.org/stable/"
SKLEARN_PAGES = {
    "accuracy_score": "modules/model_evaluation.html#accuracy-score",
    "df_output_transform": "modules/df_output_transform.html",
    "metadata_routing": "metadata_routing.html",
    "sphx_glr_auto_examples_miscellaneous_plot_set_output.py": (
        "auto_examples/miscellaneous/plot_set_output.html"
    ),
}


def refer_to_sklearn(app, env, node, contnode):
    """Link what scikit-learn's own docstrings refer to."""
    kind, target = node.get("reftype"), node.get("reftarget", "")
    if kind == "term":
        page = f"glossary.html#term-{target.replace(' ', '-')}"
    elif kind == "ref" and target in SKLEARN_PAGES:
        page = SKLEARN_PAGES[target]
    else:
        return None
    return nodes.reference("", "", contnode, refuri=SKLEARN + page, internal=False)


def setup(app):
    app.connect("missing-reference", refer_to_sklearn)
