"""The layers of the package, as a picture that imports must fit."""

import ast
from pathlib import Path

import pytest

import skscn

# From the top to the ground: a module imports from lower floors alone.
FLOORS = (
    ("__init__",),
    ("_presets", "_detection.detector", "_export.torch_export", "_export.onnx_export"),
    ("_detection.pictures", "_export.torch_restoring", "_export.onnx_converters"),
    ("_export.torch_building",),
    ("_interpretation.interpret",),
    ("_interpretation.report",),
    ("_interpretation.readers",),
    ("_interpretation.own_layers",),
    ("_patchwork.denoising", "_patchwork.inpainting"),
    ("_patchwork.patch_codes", "_patchwork.streams"),
    ("_network",),
    ("_convolution", "_pooling", "_heads", "_imputer"),
    ("_coders", "_base_images", "_detection.tabular"),
    ("_base_coder",),
    ("_likelihood",),
    ("_displays.explanation", "_displays.objective"),
    ("_displays.prior", "_displays.reconstruction", "_displays.interpretation"),
    ("_displays.dictionary",),
    ("_backends.blocks",),
    ("_backends.rows",),
    ("_backends.cluster", "_backends.device"),
    ("_export.torch_network",),
    ("_export.torch_layers", "_export.onnx_graph"),
    ("_export.torch_codes", "_export.torch_perceptrons"),
    ("_export.reading", "_export.persistence"),
    ("_patchwork.reading",),
    ("_compat", "_parallel", "_validation", "_image_validation"),
    ("_interpretation.torch_modules", "_interpretation.repair"),
    # From here down: NumPy and SciPy only.
    ("_interpretation.network", "_interpretation.layer_report"),
    ("_interpretation.reading", "_interpretation.repairing"),
    ("_interpretation.anatomy", "_interpretation.density"),
    ("_interpretation.forwards", "_interpretation.operations"),
    ("_backends.stored",),
    ("_core.online", "_maps.composition", "_patchwork.passes"),
    ("_patchwork.classes",),
    ("_core.learning", "_core.inference", "_maps.layers", "_detection.robust"),
    ("_core.missing", "_core.objectives", "_core.spectrum", "_core.starts"),
    ("_detection.explanation",),
    ("_core.beliefs", "_core.codes", "_core.nonnegative", "_detection.table"),
    ("_patchwork.checks", "_patchwork.noise", "_patchwork.planes", "_patchwork.tiles"),
    ("_core.moments", "_maps.patches", "_maps.correlation", "_maps.axes"),
    ("_maps.whitening",),
    ("_core.priors", "_core.procrustes", "_core.scratch"),
    ("_core.marginals",),
    ("_core.tails",),
)
STANDARD = {
    "abc",
    "collections",
    "contextlib",
    "dataclasses",
    "functools",
    "itertools",
    "numbers",
    "typing",
}
PRIVATE_DOOR = "_compat"
JOBLIB_DOOR = "_parallel"
# Only these import what is optional, and only a function imports them.
OPTIONAL_ROOMS = {
    "torch": {
        "torch_codes",
        "torch_layers",
        "torch_network",
        "torch_building",
        "torch_perceptrons",
        "torch_restoring",
    },
    "onnx": {"onnx_graph", "onnx_converters"},
    "skl2onnx": {"onnx_converters"},
}
LAZY = "_interpretation.torch_modules"  # imports torch where a module is given
PACKAGE = Path(skscn.__file__).parent

floor_of = {name: i for i, floor in enumerate(FLOORS) for name in floor}
GROUND = floor_of["_interpretation.network"]


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
        assert outside <= STANDARD | {"numpy", "scipy", "skscn"}


@each_module
def test_one_door_to_private_rooms_and_one_to_joblib(path):
    for name in imports(path):
        library, *rest = name.split(".")
        if library == "sklearn" and any(part.startswith("_") for part in rest):
            assert name_of(path) == PRIVATE_DOOR, name
        if library in ("joblib", "threadpoolctl") or name.endswith("utils.parallel"):
            assert name_of(path) == JOBLIB_DOOR, name


@each_module
def test_optional_packages_are_imported_in_their_rooms_alone(path):
    rooms = {f"_export.{room}" for rooms in OPTIONAL_ROOMS.values() for room in rooms}
    for name in imports(path):
        library = name.split(".")[0]
        if library in OPTIONAL_ROOMS:
            known = OPTIONAL_ROOMS[library]
            allowed = {LAZY, *(f"_export.{room}" for room in known)}
            assert name_of(path) in allowed, name
    source = ast.parse(path.read_text(encoding="utf-8"))
    for node in source.body:  # what is imported before anything is called
        if isinstance(node, ast.ImportFrom) and node.module.startswith("skscn."):
            targets = {module_of(f"{node.module}.{a.name}") for a in node.names}
            assert name_of(path) in rooms or not targets & rooms, node.module


@each_module
def test_a_file_is_one_idea_that_its_first_sentence_names(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 450
    assert ast.get_docstring(ast.parse(source)).split("\n\n")[0].endswith(".")


@pytest.mark.parametrize("path", titles, ids=lambda path: path.parent.name)
def test_a_folder_has_a_title_and_no_code(path):
    (title,) = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(title, ast.Expr)
