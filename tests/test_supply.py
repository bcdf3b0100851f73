"""What the package runs, loads and imports."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

import skscn

PACKAGE = Path(skscn.__file__).parent
TREES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
# Functions that run code that a string, a file or a shell gives.
RUNS_CODE = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
LOADS_PICKLES = {"load", "loads", "Unpickler"}
PICKLING = {"pickle", "cloudpickle", "joblib", "marshal", "shelve", "torch", "dill"}
NETWORK_AND_SHELL = {
    *("subprocess", "socket", "ssl", "urllib", "http", "ftplib", "requests"),
    *("ctypes", "code", "marshal", "shelve", "webbrowser"),
}
# Workers of dask load what this process has sent them, as dask itself does.
MAY_LOAD_PICKLES = {str(Path("_data", "dask_arrays.py"))}
IMPORT_NAMES = {"scikit-learn": "sklearn"}


def forbidden(name, node):
    """Return what a node of the code of a file must not do, or None."""
    if isinstance(node, ast.Import):
        tops = {alias.name.partition(".")[0] for alias in node.names}
        return tops & NETWORK_AND_SHELL or None
    if isinstance(node, ast.ImportFrom):
        top = node.module.partition(".")[0]
        imported = {alias.name for alias in node.names}
        is_forbidden = top in NETWORK_AND_SHELL
        is_forbidden |= top in PICKLING and bool(imported & LOADS_PICKLES)
        return node.module if is_forbidden else None
    if not isinstance(node, ast.Call):
        return None
    if any(keyword.arg == "allow_pickle" for keyword in node.keywords):
        return "allow_pickle"
    function = node.func
    if isinstance(function, ast.Name):
        return function.id if function.id in RUNS_CODE else None
    owner = getattr(getattr(function, "value", None), "id", "")
    attribute = getattr(function, "attr", "")
    is_forbidden = owner == "os" and attribute in ("system", "popen")
    is_load = owner in PICKLING and attribute in LOADS_PICKLES
    is_forbidden |= is_load and name not in MAY_LOAD_PICKLES
    return f"{owner}.{attribute}" if is_forbidden else None


def test_no_strings_or_files_are_run_as_code():
    found = [
        (name, getattr(node, "lineno", 0), reason)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if (reason := forbidden(name, node)) is not None
    ]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "import subprocess",
        "from pickle import loads",
        "import os; os.system('ls')",
        "import joblib; joblib.load('file')",
        "np.load('file', allow_pickle=True)",
    ],
)
def test_such_code_is_found(code):
    assert any(forbidden("file", node) for node in ast.walk(ast.parse(code)))


def requirements(lines):
    """Return the names of packages that are required without any extra."""
    names = [line.partition(";") for line in lines]
    names = [name for name, _, marker in names if "extra" not in marker]
    return {
        name.translate(str.maketrans("<>=!~([ ", " " * 8)).split()[0] for name in names
    }


def run_time_packages():
    """Return the import names of the run-time dependencies, and of theirs."""
    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("pyproject.toml is beside the package in a checkout only")
    found: set = set()
    names = requirements(tomllib.loads(project.read_text())["project"]["dependencies"])
    while names - found:
        name = (names - found).pop()
        found.add(name)
        names |= requirements(requires(name) or ())
    return {IMPORT_NAMES.get(name, name) for name in found}


def test_the_import_needs_only_the_run_time_dependencies():
    """All others are hidden, and none of them is imported on the way."""
    code = f"""
import importlib.abc, sys
ALLOWED = {sorted(run_time_packages() | {"skscn"})} + list(sys.stdlib_module_names)
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"hidden: {{name}}", name=name)
sys.meta_path.insert(0, Hide())
import skscn
for name in skscn.__all__:
    getattr(skscn, name)
import numpy as np
X = np.random.default_rng(0).normal(size=(50, 3))
skscn.OrthogonalSparseCoder(2).fit(X).transform(X)
print("imported")
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PACKAGE.parent,
    )
    assert result.stdout == "imported\n", result.stderr


def test_the_import_loads_no_optional_package():
    """scikit-learn itself imports pandas and others, where they are installed."""
    optional = "torch dask distributed matplotlib onnx skl2onnx onnxruntime skops zarr"
    code = (
        f"import sys, skscn; print(sorted(set(sys.modules) & set({optional.split()})))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=PACKAGE.parent,
    )
    assert result.stdout == "[]\n"
