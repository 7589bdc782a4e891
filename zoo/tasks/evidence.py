"""Is a loss of accuracy beyond a budget shown by the test set, or could it be chance? Exact, from counts of images.

Two networks that answer the same images differ only by the images that one of them has right and the other wrong. With
a true loss of exactly the budget, a share q of those is right before and wrong after:

    q = (discordant + budget * images) / (2 * discordant)        1/2 for a budget of 0: McNemar's test

so that the number of lost images is binomial(discordant, q). The loss is shown where so many lost images, or more, have
a probability below `alpha`. (McNemar, Psychometrika 12, 1947; exact form and one-sided.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST_IMAGES = 10_000_000  # a larger test set is not worth naming
STEP = 1.02  # the number of images that would decide is found to 2 %: it is a guess about images that nobody has


@dataclass(frozen=True)
class Pairs:
    """What two networks say of the same `images`: how many are right before and wrong after (`lost`), and how many the
    other way round (`gained`).
    """

    images: int
    lost: int
    gained: int

    @classmethod
    def of(cls, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> Pairs:
        """From two bool [N]: which images are right."""
        return cls(len(before), int((before & ~after).sum()), int((after & ~before).sum()))

    @classmethod
    def of_shares(cls, before: float, after: float, images: int) -> Pairs:
        """From two accuracies (0 to 1) alone, where nobody kept which images are right.

        As many images as in two unrelated networks are then taken to have been gained. Two versions of one network
        agree more often than that, so a loss is shown later than the pairs would show it, and never sooner.
        """
        old, new = round(before * images), round(after * images)
        gained = min(math.ceil(images * after * (1 - before) - 1e-9), images - old, new)
        gained = max(gained, new - old, 0)
        return cls(images, gained + old - new, gained)

    @property
    def net(self) -> int:
        """By how many images fewer are right."""
        return self.lost - self.gained

    def chance(self, budget: float) -> float:
        """The probability of so many lost images, or more, where the true loss is `budget` (a share of all images)."""
        discordant, allowed = self.lost + self.gained, budget * self.images
        if discordant <= allowed or not discordant:
            return 1.0
        return upper_tail(self.lost, discordant, (discordant + allowed) / (2 * discordant))

    def shows(self, budget: float, alpha: float) -> bool:
        """Whether the loss is beyond the budget, with a chance of at most `alpha` that it is not."""
        return self.chance(budget) <= alpha

    def deciding(self, budget: float, alpha: float) -> int | None:
        """About how many images would show the loss, if the same share of them is lost and gained; rounded up to two
        digits. None where more than `MOST_IMAGES` would be needed, or where the loss is within the budget.
        """
        if self.net <= budget * self.images:
            return None
        factor = 1.0
        while factor * self.images <= MOST_IMAGES:
            larger = Pairs(round(factor * self.images), round(factor * self.lost), round(factor * self.gained))
            if larger.shows(budget, alpha):
                digits = 10 ** max(len(str(larger.images)) - 2, 0)
                return math.ceil(larger.images / digits) * digits
            factor *= STEP
        return None


def upper_tail(least: int, trials: int, chance: float) -> float:
    """P(X >= least) for X binomial(trials, chance): the sum of its terms, each from the one before."""
    if least <= 0 or chance >= 1:
        return 1.0
    if chance <= 0:
        return 0.0
    logarithm = (
        math.lgamma(trials + 1)
        - math.lgamma(least + 1)
        - math.lgamma(trials - least + 1)
        + least * math.log(chance)
        + (trials - least) * math.log1p(-chance)
    )
    term = total = math.exp(logarithm)
    odds = chance / (1 - chance)
    for right in range(least, trials):
        term *= (trials - right) / (right + 1) * odds
        total += term
        if term < 1e-17 * total and right > trials * chance:
            break
    return min(total, 1.0)


@dataclass(frozen=True)
class Loss:
    """A loss of accuracy beyond its budget, and whether the test set shows it. `budget`: a share of all images."""

    pairs: Pairs
    budget: float
    alpha: float

    @property
    def shown(self) -> bool:
        """Whether it is beyond doubt."""
        return self.pairs.shows(self.budget, self.alpha)

    @property
    def below_one_image(self) -> bool:
        """Whether one image fewer lost would be within the budget: the test set cannot resolve the rest."""
        return self.pairs.net - 1 <= self.budget * self.pairs.images + 1e-9

    @property
    def text(self) -> str:
        """`1 of 153 images; the budget of 0.5 points is less than one image; about 5,700 images would decide`."""
        pairs, allowed = self.pairs, self.budget * self.pairs.images
        points = f"the budget of {100 * self.budget:g} point{'' if self.budget == 0.01 else 's'}"
        size = "less than one image" if allowed < 1 else f"{allowed:.3g} images"
        count = pairs.deciding(self.budget, self.alpha)
        more = f"more than {MOST_IMAGES:,}" if count is None else f"about {count:,}"
        net = f"{pairs.net} of {pairs.images:,} images"
        return f"{net}; {points} is {size}; {more} images would decide"
