"""Modules whose doctests pytest skips if an optional dependency is not installed."""

from importlib.util import find_spec

collect_ignore_glob = [
    f"skscn/_export/{folder}/*.py"
    for package, folder in (("torch", "torch"), ("skl2onnx", "onnx"))
    if find_spec(package) is None
]
