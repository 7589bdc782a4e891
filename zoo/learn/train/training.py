"""Running a learner: Lightning's Trainer with the settings, loggers and callbacks of this project."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor

from zoo.data import ImageSet
from zoo.errors import VerdictError
from zoo.learn.batch import Batch
from zoo.learn.recipe.schema import Training
from zoo.learn.train.batches import UnchangedBatches
from zoo.learn.train.cuda_graph_step import StepInputBatches, StepInputs
from zoo.learn.train.ema import Ema
from zoo.learn.train.learner import Learner
from zoo.learn.train.loggers import make_loggers
from zoo.models.checkpoint import LAST
from zoo.progress import Advance, track
from zoo.quiet import quiet

# Steps whose losses are read together: reading a number back from a GPU waits for all that is queued there, and one
# wait in so many steps costs no time that can be measured.
READ_EVERY = 64


class _ProgressAndLoss(Callback):
    """Shows the steps, the latest loss and the last epoch's score, and stops a training whose loss is no longer a
    finite number.
    """

    advance: Advance

    def __init__(self, title: str, last: Path) -> None:
        self._title, self._last = title, last
        self._losses: list[Tensor] = []
        self._shown: list[Tensor] = []
        self._loss = ""

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        del module
        self.advance(trainer.current_epoch * trainer.num_training_batches, earlier=True)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        module: Learner,
        outputs: Any,
        batch: Batch | StepInputs,
        index: int,
    ) -> None:
        self.advance()
        self._losses.append(outputs["loss"].detach().float())
        self._shown.append(batch.indices)
        # At the end of an epoch, too: the state that is saved then has to be good.
        if len(self._losses) == READ_EVERY or index + 1 == trainer.num_training_batches:
            self._read_losses(trainer.global_step, module)

    def _read_losses(self, step: int, module: Learner) -> None:
        """Read back the losses of the latest steps, of which `step` is the last."""
        losses, shown = torch.stack(self._losses).tolist(), self._shown
        self._losses, self._shown = [], []
        for place, (loss, indices) in enumerate(zip(losses, shown, strict=True)):
            if not math.isfinite(loss):
                names = [module.batches.images.names[i] for i in indices.tolist()]
                kept = f"the last good state is {self._last}" if self._last.exists() else "no epoch was finished before"
                raise VerdictError(
                    f"{self._title}: the loss is {loss} at step {step - len(losses) + place + 1}, on the images "
                    f"{', '.join(names[:4])}{' ...' if names[4:] else ''}; {kept}; a smaller train.lr or a "
                    "train.warmup usually helps"
                )
        self._loss = f"loss {sum(losses) / len(losses):.3f}"
        self._tell(module)

    def on_train_epoch_end(self, trainer: L.Trainer, module: Learner) -> None:
        del trainer
        self._tell(module)

    def _tell(self, module: Learner) -> None:
        self.advance(0, status=f"{self._loss}, {module.score}" if module.score else self._loss)


def _nothing(*_: object, **__: object) -> None:
    """The progress of the other processes, which is not shown."""


def fit(
    learner: Learner,
    folder: Path,
    test: ImageSet,
    *,
    title: str,
    settings: Training,
    processes: int,
    resume: bool,
    validation: ImageSet | None = None,
) -> int:
    """Train. After every epoch `folder` holds the state that `resume` continues from, and the curves (metrics.csv).

    Returns how many epochs were trained, which is fewer than asked for when early stopping ended it. Raises
    `KeyboardInterrupt` when the user stops it, `VerdictError` when the loss is no longer a number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / LAST
    keep = ModelCheckpoint(
        folder, filename=last.stem, save_top_k=1, enable_version_counter=False, save_on_train_epoch_end=True
    )
    progress = _ProgressAndLoss(title, last)
    callbacks: list[Callback] = [progress, keep]
    if settings.ema:
        callbacks.insert(0, Ema(settings.ema))
    if settings.patience:
        callbacks.append(EarlyStopping("validation_loss", patience=settings.patience, check_on_train_epoch_end=True))
    # Workers, intervals and folders were chosen here: no advice on them, and no advertisements.
    with quiet("lightning.pytorch", warning=True):
        trainer = L.Trainer(
            max_epochs=settings.epochs,
            accelerator="auto",
            devices=processes,
            strategy="ddp" if processes > 1 else "auto",
            sync_batchnorm=processes > 1 and torch.cuda.is_available(),
            use_distributed_sampler=False,  # every process takes its own slice of each batch
            precision=_precision(settings),
            benchmark=True if settings.compile != "off" else None,  # cuDNN too chooses by the clock then
            logger=make_loggers(settings.loggers, folder),
            log_every_n_steps=len(learner.batches),
            callbacks=callbacks,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        steps = settings.epochs * len(learner.batches)
        shown = track(title, steps) if trainer.is_global_zero else contextlib.nullcontext(_nothing)
        held_out = [UnchangedBatches(part) for part in (test, validation) if part is not None]
        try:
            with shown as progress.advance:
                trainer.fit(
                    learner,
                    StepInputBatches(learner.batches) if learner.captures else learner.batches,
                    held_out,
                    ckpt_path=str(last) if resume and last.exists() else None,
                    weights_only=True,
                )
        except SystemExit:  # how Lightning ends a training that Ctrl-C stopped
            raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt
    return trainer.current_epoch


def _precision(settings: Training) -> Any:
    names = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    if settings.precision == "auto":
        return names["bf16" if torch.cuda.is_available() else "fp32"]
    return names[settings.precision]
