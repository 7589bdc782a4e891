"""Named points in a picture, by regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.preprocess import Preprocessing
from zoo.tasks.prediction import Floats, Points
from zoo.tasks.task import Array, Task


class Keypoints(Task):
    """Named points. Outputs [N, 2 points] as x0, y0, x1, ... with -1 and 1 at the picture's edges; targets float32
    alike, NaN where a point was not marked.
    """

    name, metric, unit, budget, output = "keypoints", "rmse", "px", 0.1, "points"

    @property
    def outputs(self) -> int:
        """Two for each point."""
        return 2 * len(self.labels)

    @property
    def names(self) -> Sequence[str]:
        """Two for each point: `nose_tip.x`, `nose_tip.y`."""
        return [f"{label}.{axis}" for label in self.labels for axis in "xy"]

    def score(self, outputs: Floats, targets: Array) -> dict[str, float]:
        """`rmse`: root mean squared coordinate error of all marked points, in pixels of the network's picture.

        `nme`: mean distance over the side of the square that has the marked points' bounding box's area, for pictures
        with such a box (NME_box of the face alignment literature); absent when there is none.
        """
        errors = (outputs - targets) * (self.size / 2)
        scores = {"rmse": float(np.sqrt(np.nanmean(errors**2)))}
        points = targets.reshape(len(targets), -1, 2) * (self.size / 2)
        marked = np.asarray(~np.isnan(points).any(axis=2))
        distances = np.linalg.norm(errors.reshape(points.shape), axis=2)
        shares = []
        for at, which, distance in zip(points, marked, distances, strict=True):
            side = float(np.sqrt(np.prod(np.ptp(at[which], axis=0)))) if which.sum() > 1 else 0.0
            if side > 0:
                shares.append(float(distance[which].mean()) / side)
        return scores | ({"nme": float(np.mean(shares))} if shares else {})

    def agreement(self, outputs: Floats, reference: Floats) -> float:
        """Share of the coordinates that are within half a pixel of each other."""
        return float((np.abs(outputs - reference) * (self.size / 2) <= 0.5).mean())

    def lost(self, before: float, after: float) -> float:
        """By how many pixels the error grew."""
        return after - before

    def shown(self, value: float) -> str:
        """The error in pixels."""
        return f"{value:.3f} px"

    def decode(self, output: Floats, preprocessing: Preprocessing, picture: tuple[int, int]) -> Points:
        """The points in the picture that was given, whatever its size."""
        inside = (output.reshape(-1, 2) + 1) / 2 * np.array([preprocessing.width, preprocessing.height])
        return Points(preprocessing.to_picture(inside, picture) - np.float32(0.5), self.labels)
