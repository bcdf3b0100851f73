"""The layers of the package, as a picture that imports must fit."""

import ast
from pathlib import Path

import pytest

import skscn

# From the top to the ground: a module imports from lower floors alone.
FLOORS = (
    ("__init__",),
    ("_presets", "_detection.detector"),
    ("_patchwork.denoising", "_patchwork.inpainting"),
    ("_patchwork.patch_codes", "_patchwork.streams"),
    ("_detection.pictures",),
    ("_network",),
    ("_convolution", "_pooling", "_heads", "_imputer"),
    ("_coders", "_base_images", "_detection.tabular"),
    ("_base_coder",),
    ("_likelihood",),
    ("_detection.explanation_display", "_patchwork.dictionary_display"),
    ("_patchwork.reading",),
    ("_compat", "_parallel", "_validation", "_image_validation"),
    # From here down: NumPy and SciPy only.
    ("_core.online", "_maps.composition", "_patchwork.passes"),
    ("_patchwork.classes",),
    ("_core.learning", "_core.inference", "_maps.layers", "_detection.robust"),
    ("_core.missing", "_core.objectives", "_core.spectrum", "_core.starts"),
    ("_detection.explanation",),
    ("_core.beliefs", "_core.codes", "_detection.table"),
    ("_patchwork.checks", "_patchwork.noise", "_patchwork.planes", "_patchwork.tiles"),
    ("_core.moments", "_maps.patches", "_maps.correlation", "_maps.axes"),
    ("_maps.whitening",),
    ("_core.priors", "_core.procrustes", "_core.scratch"),
    ("_core.marginals",),
    ("_core.tails",),
)
PRIVATE_DOOR = "_compat"
JOBLIB_DOOR = "_parallel"
PACKAGE = Path(skscn.__file__).parent

floor_of = {name: i for i, floor in enumerate(FLOORS) for name in floor}
GROUND = floor_of["_core.online"]


def name_of(path):
    """Return the name of a module within the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path):
    """Yield every imported name as module.name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# A folder's __init__ is its title, without code.
titles = sorted(PACKAGE.glob("*/__init__.py"))
modules = sorted(set(PACKAGE.rglob("*.py")) - set(titles))
each_module = pytest.mark.parametrize("path", modules, ids=name_of)


def test_the_picture_shows_every_module():
    assert {name_of(path) for path in modules} == set(floor_of)


def module_of(name):
    """Return the module, within the package, of an imported name."""
    _, first, second, *_ = [*name.split("."), ""]
    return first if first in floor_of else f"{first}.{second}"


@each_module
def test_imports_point_downward(path):
    for name in imports(path):
        if name.startswith("skscn."):
            target = floor_of[module_of(name)]
            assert target > floor_of[name_of(path)], f"{name_of(path)} -> {name}"


@each_module
def test_the_ground_floors_know_numpy_and_scipy_alone(path):
    if floor_of[name_of(path)] >= GROUND:
        outside = {name.split(".")[0] for name in imports(path)}
        known = {"abc", "collections", "dataclasses", "functools", "numbers", "typing"}
        assert outside <= known | {"numpy", "scipy", "skscn"}


@each_module
def test_one_door_to_private_rooms_and_one_to_joblib(path):
    for name in imports(path):
        library, *rest = name.split(".")
        if library == "sklearn" and any(part.startswith("_") for part in rest):
            assert name_of(path) == PRIVATE_DOOR, name
        if library in ("joblib", "threadpoolctl") or name.endswith("utils.parallel"):
            assert name_of(path) == JOBLIB_DOOR, name


@each_module
def test_a_file_is_one_idea_that_its_first_sentence_names(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 450
    assert ast.get_docstring(ast.parse(source)).split("\n\n")[0].endswith(".")


@pytest.mark.parametrize("path", titles, ids=lambda path: path.parent.name)
def test_a_folder_has_a_title_and_no_code(path):
    (title,) = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(title, ast.Expr)
