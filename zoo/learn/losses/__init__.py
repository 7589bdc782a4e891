"""Losses as pure functions on tensors, computed in float32 whatever comes in, never with a gradient to the teacher.

| function | paper (arXiv) | upstream it equals | usual setting |
|---|---|---|---|
| `kd` | Hinton 2015, 1503.02531 | mdistiller `KD.py:kd_loss` at a08d46f | T 4, 0.1 hard + 0.9 kd |
| `dkd` | Zhao 2022, 2203.08679 | mdistiller `DKD.py:dkd_loss` at a08d46f | alpha 1, beta 8, T 4, 1 + 1 |
| `dist` | Huang 2022, 2205.10536 | TTM `dist.py:DIST` at 2de9060, without its epsilon | beta = gamma = 1, T 1, 1 + 2 |
| `wttm` | Zheng 2024, 2402.11148 | TTM `wttm.py:WTTM` at 2de9060, l = 1 / T | T 5, 1 + 4; tuned per pair |
| `hard_label` | Touvron 2021, 2012.12877 | DeiT `losses.py:DistillationLoss`, "hard" | 0.5 + 0.5 |
| `standardise` | Sun 2024, 2403.01427 | logit-standardization-KD `KD.py:normalize` at 6083e2d | kd: T 2, 0.1 + 9 |
| `bce` | none | TextBrewer issue 50, summed over tags | T 1 |
| `bernoulli_kl` | Yang 2023, 2308.06453 | L2D `mld.py:MLD` at e3c438a, without its clamp | 1 + 10 |
| `mse`, `smooth_l1` | none | torch's own | beta 1 |
| `fitnet` | Romero 2015, 1412.6550 | mdistiller `FitNet.py` at a08d46f | weight 100 |
| `attention` | Zagoruyko 2017, 1612.03928 | mdistiller `AT.py:single_stage_at_loss` at a08d46f | weight 1000 |
| `relational` | Park 2019, 1904.05068 | mdistiller `RKD.py:rkd_loss` at a08d46f | 25 distance + 50 angle, weight 1 |
| `pooled` | none | timm `distillation.py:FeatureDistillationTask` at aa4b585 | weight 1 |

`registry` has those on logits by name, `zoo.learn.hints` those on features. Each of the first kind says beside its
function, with `@soft_loss`, for which tasks it is and what its usual settings are.
"""

from __future__ import annotations

from zoo.learn.losses.features import attention, fitnet, pooled, relational
from zoo.learn.losses.logits import dist, dkd, hard_label, kd, standardise, wttm
from zoo.learn.losses.multilabel import bce, bernoulli_kl
from zoo.learn.losses.precision import in_fp32
from zoo.learn.losses.regression import mse, smooth_l1
from zoo.learn.losses.soft_loss import SoftLoss, soft_loss

__all__ = [
    "SoftLoss",
    "attention",
    "bce",
    "bernoulli_kl",
    "dist",
    "dkd",
    "fitnet",
    "hard_label",
    "in_fp32",
    "kd",
    "mse",
    "pooled",
    "relational",
    "smooth_l1",
    "soft_loss",
    "standardise",
    "wttm",
]
