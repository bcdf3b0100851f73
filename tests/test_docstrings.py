"""What the documentation says is what the code does."""

import ast
import inspect
import re

import pytest
from common import ESTIMATORS, make_estimator

import skscn

each_estimator = pytest.mark.parametrize(
    "Estimator", ESTIMATORS, ids=lambda cls: cls.__name__
)


def section(doc, title):
    """Return the items of a numpydoc section as name: description."""
    match = re.search(rf"\n{title}\n-+\n(.*?)(?=\n\n\w[\w ]*\n-{{3,}}|\Z)", doc, re.S)
    items = re.split(r"\n(?=\w+ : )", "\n" + match.group(1))[1:]
    return dict(item.split(" : ", 1) for item in items)


@each_estimator
def test_documented_defaults_are_the_real_ones(Estimator):
    documented = section(inspect.getdoc(Estimator), "Parameters")
    parameters = inspect.signature(Estimator).parameters
    assert list(documented) == list(parameters)
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        default = re.search(r"default=(\"[^\"]*\"|[^\s,]+)", documented[name])
        assert default, name
        assert ast.literal_eval(default.group(1)) == parameter.default, name


@each_estimator
def test_every_fitted_attribute_is_documented_and_there(Estimator, digits):
    documented = set(section(inspect.getdoc(Estimator), "Attributes"))
    fitted = make_estimator(Estimator).fit(digits, digits[:, 20] > 0)
    properties = {
        name
        for base in Estimator.__mro__
        if base.__module__.startswith("skscn.")
        for name, value in vars(base).items()
        if isinstance(value, property)
    }
    there = {
        name
        for name in vars(fitted).keys() | properties
        if name.endswith("_") and not name.startswith("_")
    }
    assert documented - {"feature_names_in_"} == there


@each_estimator
def test_about_a_dozen_parameters(Estimator):
    # A convolution has those of a coder, of patches, and of their normalisation.
    most = 17 if Estimator is skscn.ConvSparseCoder else 13
    assert len(inspect.signature(Estimator).parameters) <= most


def test_the_front_door_lists_names_in_order():
    assert list(skscn.__all__) == sorted(skscn.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", skscn.__version__)
