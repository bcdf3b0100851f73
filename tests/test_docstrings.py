"""The documentation agrees with the code."""

import ast
import inspect
import re

import pytest
from common import ESTIMATORS, make_short

import skscn

each_estimator = pytest.mark.parametrize(
    "Estimator", ESTIMATORS, ids=lambda cls: cls.__name__
)


def docstring_section(doc, title):
    """Return the items of a numpydoc section as {name: description}."""
    match = re.search(rf"\n{title}\n-+\n(.*?)(?=\n\n\w[\w ]*\n-{{3,}}|\Z)", doc, re.S)
    items = re.split(r"\n(?=\w+ : )", "\n" + match.group(1))[1:]
    return dict(item.split(" : ", 1) for item in items)


@each_estimator
def test_documented_defaults_are_those_of_the_signature(Estimator):
    documented = docstring_section(inspect.getdoc(Estimator), "Parameters")
    parameters = inspect.signature(Estimator).parameters
    assert list(documented) == list(parameters)
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        default = re.search(r"default=(\"[^\"]*\"|[^\s,]+)", documented[name])
        assert default, name
        assert ast.literal_eval(default.group(1)) == parameter.default, name


# They learn in few iterations.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@each_estimator
def test_the_fitted_attributes_are_the_documented_ones(Estimator, digits):
    documented = set(docstring_section(inspect.getdoc(Estimator), "Attributes"))
    fitted = make_short(Estimator).fit(digits, digits[:, 20] > 0)
    properties = {
        name
        for base in Estimator.__mro__
        if base.__module__.startswith("skscn.")
        for name, value in vars(base).items()
        if isinstance(value, property)
    }
    present = {
        name
        for name in vars(fitted).keys() | properties
        if name.endswith("_") and not name.startswith("_")
    }
    assert documented - {"feature_names_in_"} == present


@each_estimator
def test_an_estimator_has_few_parameters(Estimator):
    # DictionaryLearning of scikit-learn has 17. A convolutional layer has the
    # parameters of a coder, the number of dictionaries, the threshold of maps, and
    # those of patches and of their normalization. A mixture has those of a coder,
    # without warm starts, and the numbers of dictionaries and of starts.
    max_parameters = {
        skscn.ConvSparseCoder: 19,
        skscn.OrthogonalSparseCoder: 15,
        skscn.NonNegativeSparseCoder: 14,
        skscn.SparseCodingMixture: 15,
    }.get(Estimator, 13)
    assert len(inspect.signature(Estimator).parameters) <= max_parameters


def test_public_names_are_sorted_and_the_version_is_well_formed():
    assert list(skscn.__all__) == sorted(skscn.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", skscn.__version__)
