"""Coders of whitened patches, whose warnings name parameters of the layer."""

from skscn._coders.coders import NonNegativeSparseCoder, OrthogonalSparseCoder

REMEDY = "Increase max_iter."  # the tolerance is no parameter of the layer
ENTRIES = "The values of whitened patches"


class SignedPatchCoder(OrthogonalSparseCoder):
    """A coder with signed codes."""

    _remedy, _entries = REMEDY, ENTRIES


class NonNegativePatchCoder(NonNegativeSparseCoder):
    """A coder with non-negative codes."""

    _remedy, _entries = REMEDY, ENTRIES
