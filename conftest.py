"""Modules that pytest skips where the extra that they need is not installed."""

from importlib.util import find_spec

collect_ignore_glob = [
    f"skscn/_export/{room}/*.py"
    for package, room in (("torch", "torch"), ("skl2onnx", "onnx"))
    if find_spec(package) is None
]
