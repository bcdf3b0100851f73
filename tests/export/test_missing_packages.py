"""Optional packages are imported only when needed, and errors name the extra."""

import subprocess
import sys

import numpy as np
import pytest

import skscn

CODER = skscn.NonNegativeSparseCoder(2, alpha=0.1)
ONE_ROW = np.zeros((1, 3))


def fitted_coder():
    return CODER.fit(np.random.default_rng(0).normal(size=(20, 3)))


@pytest.mark.parametrize(
    ("call", "package", "extra"),
    [
        (lambda: skscn.to_torch(fitted_coder()), "torch", "torch"),
        (lambda: skscn.from_torch(None), "torch", "torch"),
        (lambda: skscn.to_onnx(fitted_coder(), ONE_ROW), "skl2onnx", "onnx"),
        (skscn.register_onnx_converters, "skl2onnx", "onnx"),
    ],
)
def test_an_error_names_the_extra(call, package, extra, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("skscn._data.sklearn_compat.import_module", missing)
    with pytest.raises(ImportError, match=rf"needs {package}: .*skscn\[{extra}\]"):
        call()


def test_optional_packages_are_not_imported_with_skscn():
    code = (
        "import sys, skscn; optional = {'torch', 'onnx', 'skl2onnx', 'skops'}; "
        "print(*optional & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
