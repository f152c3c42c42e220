"""Count, mean and spread of numbers that arrive in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and sum of squared deviations of numbers, so that two sets can be put together.

    Attributes
    ----------
    measured : int
    mean, deviations : float
        Zero where nothing was measured.
    best : float, optional
        The highest; ``None`` where nothing was measured.
    """

    measured: int = 0
    mean: float = 0.0
    deviations: float = 0.0
    best: float | None = None

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """Return the moments of what is finite among ``values``, of any shape."""
        numbers = np.asarray(values, dtype="float64").ravel()
        finite = numbers[np.isfinite(numbers)]
        if not len(finite):
            return cls()
        mean = float(finite.mean())
        return cls(len(finite), mean, float(((finite - mean) ** 2).sum()), float(finite.max()))

    def __add__(self, other: Moments) -> Moments:
        """Put two sets together: Chan, Golub and LeVeque, "Updating Formulae" (1979), equations 2.1."""
        if not self.measured or not other.measured:
            return self if self.measured else other
        both, apart = self.measured + other.measured, other.mean - self.mean
        deviations = self.deviations + other.deviations + apart**2 * self.measured * other.measured / both
        best = max(value for value in (self.best, other.best) if value is not None)
        return Moments(both, self.mean + apart * other.measured / both, deviations, best)

    @property
    def variance(self) -> float:
        """The sample variance (``n - 1``); zero for fewer than two."""
        return self.deviations / (self.measured - 1) if self.measured > 1 else 0.0
