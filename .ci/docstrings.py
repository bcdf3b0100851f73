"""Validate the docstrings of the public API against the numpydoc standard.

The public API consists of the functions and classes in `skscn.__all__`, and of the
public methods and properties that the classes define or inherit within skscn. The
checks are those of `[tool.numpydoc_validation]` in pyproject.toml.
"""

import inspect
import sys
from pathlib import Path

from numpydoc.hooks.validate_docstrings import parse_config
from numpydoc.validate import validate

import skscn

NOT_FOR_METHODS = {"EX01", "SA01"}  # no examples, no section "See Also"


def is_defined_in_skscn(value):
    """Whether skscn defines a method; scikit-learn adds others at run time."""
    function = getattr(value, "fget", value)
    return getattr(function, "__module__", "").partition(".")[0] == "skscn"


def public_names():
    """Yield the dotted names of the public API, and whether each is a method."""
    for name in skscn.__all__:
        value = getattr(skscn, name)
        if callable(value):
            yield f"skscn.{name}", False
        if inspect.isclass(value):
            for member in sorted(
                member
                for base in inspect.getmro(value)
                for member, attribute in vars(base).items()
                if not member.startswith("_") and is_defined_in_skscn(attribute)
            ):
                yield f"skscn.{name}.{member}", True


def main():
    checks = parse_config(Path(__file__).resolve().parents[1])["checks"]
    names = dict(public_names())
    errors = [
        f"{name}: {code} {text}"
        for name, is_method in names.items()
        for code, text in validate(name)["errors"]
        if code in (checks - NOT_FOR_METHODS if is_method else checks)
    ]
    print(*errors, f"{len(names)} docstrings, {len(errors)} errors", sep="\n")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
