"""Adapters: small layers, trained with the student, that bring its features to the shape of the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from zoo.learn.losses.features import global_pool


class Projection(nn.Module):
    """Features [N, inputs, ...], pooled globally -> [N, outputs] (timm `FeatureDistillationTask`)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """[N, inputs, ...] -> [N, outputs]."""
        projected: Tensor = self.linear(global_pool(features))
        return projected


def regressor(student: Sequence[int], teacher: Sequence[int]) -> nn.Module:
    """FitNet's convolution, BatchNorm and ReLU from a student's map to a teacher's, both shapes [N, channels, H, W].

    1x1 on maps of one size, 3x3 of stride 2 from one twice as big, 4x4 transposed from one half as big (mdistiller
    `_common.py:ConvReg`). For any other ratio 1x1 as well, and the loss pools: upstream's kernel would be as wide as
    the difference in size, 25x25 between 32 and 8 pixels.
    """
    (_, inputs, *here), (_, outputs, *there) = student, teacher
    if here == [2 * side for side in there]:
        convolution: nn.Module = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    elif there == [2 * side for side in here]:
        convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    else:
        convolution = nn.Conv2d(inputs, outputs, 1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def adapter(loss: str, student: Sequence[int], teacher: Sequence[int]) -> nn.Module:
    """The adapter that a loss needs between features of these shapes; the identity where it needs none."""
    if loss == "fitnet":
        return regressor(student, teacher)
    if loss == "pooled" and student[1] != teacher[1]:
        return Projection(student[1], teacher[1])
    return nn.Identity()
