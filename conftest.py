"""What pytest does not look into where optional packages are not installed."""

from importlib.util import find_spec

TORCH = ["building", "codes", "layers", "network", "perceptrons", "restoring"]
ONNX = ["converters", "graph"]

collect_ignore = [
    f"skscn/_export/{prefix}_{module}.py"
    for package, prefix, modules in (
        ("torch", "torch", TORCH),
        ("skl2onnx", "onnx", ONNX),
    )
    if find_spec(package) is None
    for module in modules
]
