"""Validate the docstrings of the public API against the numpydoc standard.

The public API is what `skscn.__all__` names: functions, classes, and the public methods
and properties that classes define or inherit within skscn. The checks stand in
`[tool.numpydoc_validation]` of pyproject.toml.
"""

import inspect
import sys
from pathlib import Path

from numpydoc.hooks.validate_docstrings import parse_config
from numpydoc.validate import validate

import skscn

NOT_OF_METHODS = {"EX01", "SA01"}


def is_ours(value):
    """Whether skscn wrote it; scikit-learn adds methods such as set_fit_request."""
    function = getattr(value, "fget", value)
    return getattr(function, "__module__", "").partition(".")[0] == "skscn"


def public_names():
    """Yield the dotted name of everything public, and whether it is a method."""
    for name in skscn.__all__:
        value = getattr(skscn, name)
        if callable(value):
            yield f"skscn.{name}", False
        if inspect.isclass(value):
            for member in sorted(
                member
                for base in inspect.getmro(value)
                for member, defined in vars(base).items()
                if not member.startswith("_") and is_ours(defined)
            ):
                yield f"skscn.{name}.{member}", True


def main():
    checks = parse_config(Path(__file__).resolve().parents[1])["checks"]
    names = dict(public_names())
    errors = [
        f"{name}: {code} {text}"
        for name, is_method in names.items()
        for code, text in validate(name)["errors"]
        if code in (checks - NOT_OF_METHODS if is_method else checks)
    ]
    print(*errors, f"{len(names)} docstrings, {len(errors)} errors", sep="\n")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
