"""Distillation of one class per image: losses on logits [N, classes], float32 inside, no gradient to the teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.learn.losses.multilabel import bernoulli_kl
from zoo.learn.losses.precision import in_fp32
from zoo.learn.losses.soft_loss import soft_loss

CLASSES = ("classification",)


@soft_loss(
    tasks=CLASSES, parameters={"temperature": 4.0}, weights=(0.1, 0.9), softmax=True, standardised_weights=(0.1, 9.0)
)
@in_fp32
def kd(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """T^2 * KL(softmax(teacher / T) || softmax(student / T)), summed over classes, averaged over the batch.

    T^2 keeps the gradient's size independent of T, so that the weight against a hard loss need not change with it.
    """
    return temperature**2 * _kl(student / temperature, teacher / temperature).mean()


@soft_loss(
    tasks=CLASSES,
    parameters={"alpha": 1.0, "beta": 8.0, "temperature": 4.0},
    weights=(1.0, 1.0),
    needs_target=True,
    softmax=True,
    standardised_weights=(1.0, 9.0),
)
@in_fp32
def dkd(student: Tensor, teacher: Tensor, target: Tensor, *, alpha: float, beta: float, temperature: float) -> Tensor:
    """T^2 * (alpha * TCKD + beta * NCKD), averaged over the batch; `target`: the true class, int64 [N].

    TCKD compares how much probability the target gets against all the rest, NCKD how the rest is shared out. With p
    the teacher's probability of the target, KD = TCKD + (1 - p) * NCKD: plain kd mutes what a sure teacher knows about
    the other classes, dkd gives it a weight of its own. Both come from log-sum-exp, where nothing underflows; upstream
    takes log(softmax), which is infinite from a logit gap of 104.
    """
    student_odds, student_rest = _split(student / temperature, target)
    teacher_odds, teacher_rest = _split(teacher / temperature, target)
    target_part = bernoulli_kl(student_odds, teacher_odds)
    rest_part = _kl(student_rest, teacher_rest).mean()
    return temperature**2 * (alpha * target_part + beta * rest_part)


@soft_loss(
    tasks=CLASSES,
    parameters={"beta": 1.0, "gamma": 1.0, "temperature": 1.0},
    weights=(1.0, 2.0),
    softmax=True,
)
@in_fp32
def dist(student: Tensor, teacher: Tensor, *, beta: float = 1.0, gamma: float = 1.0, temperature: float) -> Tensor:
    """T^2 * (beta * (1 - r over classes, mean of the images) + gamma * (1 - r over images, mean of the classes)).

    r is Pearson's correlation of the probabilities at temperature T: the student need not match them, only rank and
    space them alike. Upstream adds 1e-8 to its denominator, which mutes the classes that are rare in a batch; here a
    rare class counts as the paper says.
    """
    ours, theirs = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    inter = 1 - _pearson(ours, theirs).mean()
    intra = 1 - _pearson(ours.T, theirs.T).mean()
    return temperature**2 * (beta * inter + gamma * intra)


@soft_loss(tasks=CLASSES, parameters={"temperature": 5.0}, weights=(1.0, 4.0), softmax=True)
@in_fp32
def wttm(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """w * KL(softmax(teacher / T) || softmax(student)), summed over classes, averaged over the batch.

    w = sum over classes of p_teacher^(1 / T) weighs an image more the less sure the teacher is. The student has no
    temperature and the sum no T^2.
    """
    weight = (teacher.log_softmax(1) / temperature).logsumexp(1).exp()
    return (weight * _kl(student, teacher / temperature)).mean()


@soft_loss(tasks=CLASSES, softmax=True)
@in_fp32
def hard_label(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropy with the teacher's most likely class, averaged over the batch."""
    return F.cross_entropy(student, teacher.argmax(1))


def standardise(logits: Tensor) -> Tensor:
    """Each image's logits [N, classes] with mean 0 and (unbiased) standard deviation 1, float32.

    Before any of these losses, it frees the student from the teacher's scale: only the logits' relations count.
    """
    with torch.autocast(logits.device.type, enabled=False):
        return _unit(logits.float()) * (logits.shape[1] - 1) ** 0.5


def _kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(softmax(teacher) || softmax(student)) of each image, [N]."""
    log_student, log_teacher = student.log_softmax(1), teacher.log_softmax(1)
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1)


def _split(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The log-odds of the target against all other classes [N, 1], and the other classes' logits [N, classes - 1]."""
    target = target[:, None]
    others = torch.arange(logits.shape[1] - 1, device=logits.device)
    rest = logits.gather(1, others + (others >= target))  # a fixed shape: a mask would make the device wait
    return logits.gather(1, target) - rest.logsumexp(1, keepdim=True), rest


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    """The correlation of matching rows: [rows, columns] -> [rows]."""
    return (_unit(a) * _unit(b)).sum(1)


def _unit(rows: Tensor) -> Tensor:
    """Each row centred and of length 1. One that is constant but for rounding becomes 0 and takes no gradient, which
    would be one over that rounding: a head that starts at zero must survive its first step.
    """
    centred = rows - rows.mean(1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    constant = length <= 1e-6 * rows.norm(dim=1, keepdim=True)
    return centred / length.masked_fill(constant, torch.inf)
