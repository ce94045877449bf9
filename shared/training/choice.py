"""Random choices with weights, among as many things as there are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Among more than these `torch.multinomial` takes tens of milliseconds, and among more than 2^24 it refuses.
_SEARCHED = 1 << 20


class WeightedChoice:
    """Draws places of an array of weights, with replacement.

    Up to a million weights by `torch.multinomial`; of more by a search in their running sums, which takes as long for
    any number. Both depend on the generator alone.
    """

    def __init__(self, weights: np.ndarray) -> None:
        """Prepare the choice among weights [n], not negative; their sum need not be 1."""
        self.weights = torch.from_numpy(np.asarray(weights, np.float64))
        self._sums = np.cumsum(weights) if len(weights) > _SEARCHED else None

    def __call__(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw places, int64 [count]."""
        if self._sums is None:
            return torch.multinomial(self.weights, count, replacement=True, generator=generator)
        at = torch.rand(count, dtype=torch.float64, generator=generator).numpy() * self._sums[-1]
        # The first sum that is larger: a weight of 0 adds nothing and is never it.
        places = np.searchsorted(self._sums, at, side="right")
        last = int(np.searchsorted(self._sums, self._sums[-1]))  # where rounding has led beyond the end
        return torch.from_numpy(np.minimum(places, last))
