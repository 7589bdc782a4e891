"""MobileNetV1 (Howard et al. 2017, arXiv:1704.04861): depthwise separable convolutions, nothing else."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field
from torch import nn

from zoo.models.families.layers import (
    ACTIVATIONS,
    PooledNetwork,
    conv_norm_act,
    keep_strides,
    make_divisible,
    norms,
    strides_for,
)
from zoo.models.knobs import Activation, Dropout, Halvings, Norm, Stride, Width
from zoo.models.student import Student

# channels c, stride s: Table 1 of the paper, without the five blocks of 512 channels that it repeats
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (1024, 2), (1024, 1))
REPEATED = (512, 1)


class MobileNetV1(PooledNetwork):
    """Float [N, 3, H, W] -> logits [N, classes].

    `depth` counts the separable blocks: 13 as published, 8 is the paper's shallow network (its Table 5). `halvings` of
    the four strides behind the stem stay 2. Dropout as in the authors' `tensorflow/models` slim `mobilenet_v1.py`.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: Width = 1.0,
        depth: Annotated[int, Field(ge=8, le=13)] = 13,
        stem_stride: Stride = 2,
        halvings: Halvings = 4,
        norm: Norm = "batch",
        activation: Activation = "relu",
        dropout: Dropout = 0.001,
    ) -> None:
        conv = partial(conv_norm_act, norm=norms(norm), activation=ACTIVATIONS[activation])
        channels = make_divisible(32 * width)
        features = [conv(3, channels, stride=stem_stride)]
        blocks = (*BLOCKS[:6], *[REPEATED] * (depth - len(BLOCKS)), *BLOCKS[6:])
        strides = keep_strides([stride for _, stride in blocks], halvings)
        for (base, _), stride in zip(blocks, strides, strict=True):
            outputs = make_divisible(base * width)
            depthwise = conv(channels, channels, stride=stride, groups=channels)
            features.append(nn.Sequential(depthwise, conv(channels, outputs, kernel=1)))
            channels = outputs
        super().__init__(features, [nn.Dropout(dropout), nn.Linear(channels, classes)])


STUDENT = Student("mobilenet_v1", MobileNetV1, strides_for)
