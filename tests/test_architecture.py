"""The layers of the package, as a picture that imports must fit."""

import ast
from pathlib import Path

import pytest

import skscn

# From the top to the ground: a module imports from lower floors alone.
FLOORS = (
    ("__init__",),
    ("_presets", "_detector"),
    ("_pictures",),
    ("_network",),
    ("_convolution", "_pooling", "_heads", "_imputer"),
    ("_coders", "_base_images", "_tabular"),
    ("_base_coder",),
    ("_likelihood",),
    ("_explanation_display",),
    ("_compat", "_parallel", "_validation", "_image_validation"),
    ("_online", "_composition"),
    ("_learning", "_inference", "_layers", "_robust"),
    ("_missing", "_objectives", "_spectrum", "_starts", "_explanation"),
    ("_beliefs", "_codes", "_table"),
    ("_moments", "_patches", "_correlation", "_whitening", "_axes"),
    ("_priors", "_procrustes", "_scratch"),
    ("_marginals",),
    ("_tails",),
)
GROUND = FLOORS.index(
    ("_online", "_composition")
)  # from here down: NumPy and SciPy only
PRIVATE_DOOR = "_compat"
JOBLIB_DOOR = "_parallel"
PACKAGE = Path(skscn.__file__).parent

floor_of = {name: i for i, floor in enumerate(FLOORS) for name in floor}


def imports(path):
    """Yield every imported name as module.name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


modules = sorted(PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize("path", modules, ids=lambda path: path.stem)


def test_the_picture_shows_every_module():
    assert {path.stem for path in modules} == set(floor_of)


@each_module
def test_imports_point_downward(path):
    for name in imports(path):
        if name.startswith("skscn."):
            target = name.split(".")[1]
            assert floor_of[target] > floor_of[path.stem], f"{path.stem} -> {target}"


@each_module
def test_the_ground_floors_know_numpy_and_scipy_alone(path):
    if floor_of[path.stem] >= GROUND:
        outside = {name.split(".")[0] for name in imports(path)}
        known = {"abc", "collections", "dataclasses", "functools", "typing"}
        assert outside <= known | {"numpy", "scipy", "skscn"}


@each_module
def test_one_door_to_private_rooms_and_one_to_joblib(path):
    for name in imports(path):
        library, *rest = name.split(".")
        if library == "sklearn" and any(part.startswith("_") for part in rest):
            assert path.stem == PRIVATE_DOOR, name
        if library in ("joblib", "threadpoolctl") or name.endswith("utils.parallel"):
            assert path.stem == JOBLIB_DOOR, name


@each_module
def test_a_file_is_one_idea_that_its_first_sentence_names(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 450
    assert ast.get_docstring(ast.parse(source)).split("\n\n")[0].endswith(".")
