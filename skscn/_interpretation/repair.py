"""A repaired copy of a network, and what the repair changed."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False, repr=False)
class Repair:
    """A repaired copy of a network, beside the reports before and after.

    Parameters
    ----------
    model : object
        The copy, of the kind of the model.
    before, after : NetworkReport
        Of the model and of the copy.
    score_before, score_after : float or None
        Accuracy, or R² of values, where X and y were given.
    """

    model: object
    before: object
    after: object
    score_before: float | None = None
    score_after: float | None = None

    @property
    def change(self):
        """What the repair changed of the score, or None."""
        if self.score_before is None or self.score_after is None:
            return None
        return self.score_after - self.score_before

    def __repr__(self):
        parts = ["before", str(self.before), "after", str(self.after)]
        if self.change is not None:
            parts.append(
                f"score {self.score_before:.3f} -> {self.score_after:.3f}, "
                f"change {self.change:+.3f}"
            )
        return "\n".join(parts)
