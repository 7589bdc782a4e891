"""One training: a network, its images, a teacher or none. Lightning runs it; this file says what a step is."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor

from zoo.data import ImageSet
from zoo.data.views import CropFlip, epoch_plan
from zoo.errors import VerdictError
from zoo.learn.networks import Normalised
from zoo.learn.recipe import Distillation, Training
from zoo.learn.tasks import Classification, evaluate
from zoo.learn.teachers import Batch, Teacher
from zoo.progress import track

LAST = "last.ckpt"


class Batches:
    """The batches of each epoch, by `epoch_plan`. Small images stay in memory and views are made in batch, so there
    are no workers to start, feed or resume.
    """

    def __init__(self, images: ImageSet, views: CropFlip, *, batch: int, steps: int, seed: int) -> None:
        self.images, self.views = images, views
        self.batch, self.steps, self.seed = batch, steps, seed
        self.epoch = 0
        self._pixels = torch.from_numpy(images.images)
        self._targets = torch.from_numpy(images.targets)
        self._labelled = torch.from_numpy(images.labelled)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        plan = epoch_plan(
            len(self.images),
            self.views.count,
            batch=self.batch,
            steps=self.steps,
            seed=self.seed,
            epoch=self.epoch,
        )
        for which, view in zip(*map(torch.from_numpy, plan), strict=True):
            images = self.views.apply(self._pixels[which], view)
            yield Batch(images, self._targets[which], self._labelled[which], which, view)


class Learner(L.LightningModule):
    """The step, the optimiser and its schedule. Only the network is state: teacher and data stay outside."""

    def __init__(
        self,
        network: Normalised,
        task: Classification,
        training: Training,
        batches: Batches,
        test: ImageSet,
        *,
        teacher: Teacher | None = None,
        distill: Distillation | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self._task, self._training, self._batches = task, training, batches
        self._test = torch.from_numpy(test.images), torch.from_numpy(test.targets)
        self._teacher, self._distill = teacher, distill or Distillation()
        self.score = math.nan

    def on_train_epoch_start(self) -> None:
        """Make the epoch a function of (seed, epoch), dropout included: a resumed run meets what a whole one met."""
        self._batches.epoch = self.current_epoch
        torch.manual_seed(self._batches.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: Batch, _index: int) -> dict[str, Tensor]:
        """`loss` and its parts `hard` and `soft`, and the `output` [N, classes]."""
        output = self.network(batch.images)
        parts = {"hard": self._task.hard(output, batch.targets, batch.labelled)}
        if self._teacher is None:
            parts["loss"] = parts["hard"]
        else:
            answer = self._teacher.answer(batch)
            parts["soft"] = self._task.soft(output, answer, temperature=self._distill.temperature)
            weight = self._distill.lambda_
            parts["loss"] = (1 - weight) * parts["hard"] + weight * parts["soft"]
        self.log_dict({name: value.detach() for name, value in parts.items()}, on_step=False, on_epoch=True)
        return parts | {"output": output.detach()}

    def on_train_epoch_end(self) -> None:
        """Record the score on the test images, for the curves: it chooses nothing."""
        images, targets = self._test
        answers = evaluate(self.network, images.to(self.device))
        self.score = self._task.score(answers, targets)
        self.log(f"test_{self._task.metric}", self.score)

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser; the rate follows the schedule step by step."""
        settings = self._training
        if settings.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                self.parameters(),
                lr=settings.lr,
                momentum=settings.momentum,
                weight_decay=settings.weight_decay,
                nesterov=settings.momentum > 0,
                fused=True,
            )
        else:
            optimizer = torch.optim.AdamW(
                self.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
            )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(settings, step / self._batches.steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_factor(settings: Training, epoch: float) -> float:
    """What the learning rate is multiplied by at a (fractional) epoch."""
    if epoch < settings.warmup:
        return (epoch + 1e-3) / settings.warmup
    if settings.schedule == "step":
        return float(settings.gamma ** sum(epoch >= milestone for milestone in settings.milestones))
    done = (epoch - settings.warmup) / max(settings.epochs - settings.warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class _Watch(Callback):
    """Shows the steps, and stops a training whose loss is no longer a number."""

    def __init__(self, title: str) -> None:
        self._title = title

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        del module
        done = trainer.current_epoch * trainer.num_training_batches
        total = (trainer.max_epochs or 0) * trainer.num_training_batches
        self._track = track(self._title, total)
        self._advance = self._track.__enter__()
        self._advance(done)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, *_: Any) -> None:
        del module
        self._advance()
        if not torch.isfinite(outputs["loss"]):
            raise VerdictError(
                f"{self._title}: the loss is {outputs['loss'].item()} at step {trainer.global_step}; "
                "a smaller train.lr or a train.warmup usually helps"
            )

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        del trainer, module, stage
        if hasattr(self, "_track"):
            self._track.__exit__(None, None, None)


def fit(learner: Learner, folder: Path, *, title: str, settings: Training, resume: bool) -> None:
    """Train, leaving in `folder` after every epoch what `resume` continues from, and the curves in metrics.csv.

    Raises `KeyboardInterrupt` when the user stops it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / LAST
    loggers: list[Logger] = [
        CSVLogger(folder, name="", version="logs", flush_logs_every_n_steps=1_000_000),
        TensorBoardLogger(folder, name="", version="logs", default_hp_metric=False),
    ]
    with _quiet():
        trainer = L.Trainer(
            max_epochs=settings.epochs,
            accelerator="auto",
            devices=1,
            precision=_precision(settings),
            logger=loggers,
            log_every_n_steps=len(learner._batches),
            callbacks=[
                _Watch(title),
                ModelCheckpoint(folder, filename=last.stem, save_top_k=1, enable_version_counter=False),
            ],
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            trainer.fit(
                learner,
                learner._batches,
                ckpt_path=str(last) if resume and last.exists() else None,
                weights_only=True,
            )
        except SystemExit:  # how Lightning ends a training that Ctrl-C stopped
            raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning speaks of workers, intervals and folders that were chosen here, and of its makers' products."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _precision(settings: Training) -> Any:
    names = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    if settings.precision == "auto":
        return names["bf16" if torch.cuda.is_available() else "fp32"]
    return names[settings.precision]
