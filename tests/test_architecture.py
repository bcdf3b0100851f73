"""The nine rooms: imports point downward, and each library has one door."""

import ast
import graphlib
import io
import sys
import tokenize
from pathlib import Path

import pytest

import skscn

# A module imports from its own room and from rooms with a smaller number.
ROOMS = {
    "__init__": 9,
    "_displays": 8,
    "_export": 7,
    "_interpretation": 6,
    "_detection": 6,
    "_restoration": 5,
    "_images": 4,
    "_coders": 3,
    "_data": 2,
    "_core": 1,
}
# The only modules that import these libraries.
DOORS = {
    "joblib": ("_data.parallel", "_data.progress"),
    "threadpoolctl": ("_data.blas_threads",),
    "dask": ("_data.dask_arrays",),
    "cloudpickle": ("_data.dask_arrays",),
    "torch": ("_export.torch", "_interpretation.torch_modules"),
    "onnx": ("_export.onnx",),
    "skl2onnx": ("_export.onnx",),
    "matplotlib": ("_displays",),
}
PRIVATE_SKLEARN = "_data.sklearn_compat"
NUMERICAL = {"numpy", "scipy", "skscn"}  # with the standard library, all of _core
MAX_CODE_LINES = 300  # without docstrings, comments and blank lines

PACKAGE = Path(skscn.__file__).parent
SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
each_module = pytest.mark.parametrize("name", SOURCES)


def parse(name):
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def imports(tree):
    """Yield the dotted name of everything that a piece of code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_imported(name):
    """Yield the modules of this package that a module imports."""
    for imported in imports(parse(name)):
        _, *parts = imported.split(".")
        if imported.startswith("skscn."):
            module = ".".join(parts)
            yield module if module in SOURCES else ".".join(parts[:-1])


def room(name):
    return ROOMS[name.partition(".")[0]]


def is_in(name, place):
    return name == place or name.startswith(f"{place}.")


@each_module
def test_imports_point_downward(name):
    for target in modules_imported(name):
        own_room = target.partition(".")[0] == name.partition(".")[0]
        assert own_room or room(target) < room(name), f"{name} imports {target}"


def test_no_modules_import_each_other():
    graph = {name: set(modules_imported(name)) for name in SOURCES}
    assert set(graphlib.TopologicalSorter(graph).static_order()) >= set(SOURCES)


@each_module
def test_each_library_has_one_door(name):
    for imported in imports(parse(name)):
        library, *rest = imported.split(".")
        if library == "sklearn" and any(part.startswith("_") for part in rest):
            assert name == PRIVATE_SKLEARN, imported
        doors = DOORS.get("joblib" if imported.endswith("utils.parallel") else library)
        assert doors is None or any(is_in(name, door) for door in doors), imported


@each_module
def test_the_core_is_numpy_and_scipy(name):
    libraries = {imported.partition(".")[0] for imported in imports(parse(name))}
    if room(name) == ROOMS["_core"]:
        assert libraries <= NUMERICAL | sys.stdlib_module_names


@each_module
def test_a_file_is_one_idea_and_its_first_sentence_says_which(name):
    text = SOURCES[name].read_text(encoding="utf-8")
    assert ast.get_docstring(parse(name)).split("\n\n")[0].endswith(".")
    assert n_code_lines(text) <= MAX_CODE_LINES


@pytest.mark.parametrize("name", [n for n in SOURCES if n.endswith(".__init__")])
def test_a_room_has_a_sign_at_its_door_and_no_code(name):
    (sign,) = parse(name).body
    assert isinstance(sign, ast.Expr)


def n_code_lines(text):
    """Count the lines that hold code: no docstring, no comment, not blank."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    blank |= {tokenize.INDENT, tokenize.DEDENT}
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in blank
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(lines - docstrings)
