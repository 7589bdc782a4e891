"""What one training step is. Only the network, and what hints had to learn, is state: teacher and data stay outside."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from zoo.engines.torch.compiling import compiled
from zoo.errors import InputError
from zoo.learn.hints.pairs import Hints, Taken
from zoo.learn.losses.soft_part import soft_part
from zoo.learn.recipe.schema import Distillation, Training
from zoo.learn.teachers.base import Teacher
from zoo.learn.train.batches import Batch, Batches
from zoo.learn.train.cuda_graph_step import RecordedStep, Row
from zoo.learn.train.mixup_cutmix import Blended, blend
from zoo.learn.train.schedule import Plan, rate_factor
from zoo.models.normalisation import Normalised
from zoo.tasks.learning import AnyTask


class Learner(L.LightningModule):
    """A network that learns a task from labels, and from a teacher if there is one."""

    def __init__(
        self,
        network: Normalised,
        task: AnyTask,
        training: Training,
        batches: Batches,
        *,
        teacher: Teacher | None = None,
        distill: Distillation | None = None,
        hints: Hints | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.hints = hints
        self.batches = batches
        self.best = math.nan
        self._task, self._training = task, training
        self._teacher, self._distill = teacher, distill or Distillation()
        self._soft = soft_part(task, self._distill)
        self._plan = Plan(network.network, training)
        self._recorded: RecordedStep | None = None
        self.records = self._training.compile == "graph"
        self.automatic_optimization = not self.records
        if training.compile != "off":
            torch.compiler.reset()  # else the networks of earlier learners count towards the most that it compiles
        # A recorded step is compiled from the images' numbers to the losses.
        self._forward = network.forward if self.records else compiled(network.forward, training.compile)
        self._parts: dict[str, list[Tensor]] = {}  # of each step; Lightning's own means take time in every one
        self._curves: dict[str, float] = {}
        self._answers: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes the hook that runs, some twenty times a step: no weight, and not worth looking for one."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Training batches are there already."""
        if isinstance(batch, Batch | Row):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_fit_start(self) -> None:
        """Bring images and teacher to where the network is, and have stored answers fetched before they are needed."""
        self.batches.to(self.device, rank=self.trainer.global_rank, processes=self.trainer.world_size)
        if (follow := getattr(self._teacher, "to", None)) is not None:
            follow(self.device)
        self.batches.ahead = getattr(self._teacher, "ahead", None)

    def on_train_start(self) -> None:
        """Prepare the recording, after a stopped training's state was read back."""
        if not self.records:
            return
        if not self.batches.whole:
            raise InputError("train.compile = 'graph' needs all images in the GPU's memory, which has no room for them")
        self._recorded = RecordedStep(
            compiled(self._losses, "graph"),
            ("hard", "loss") if self._teacher is None else ("hard", "soft", "loss"),
            self.trainer.optimizers[0],
            self.trainer.precision_plugin.forward_context,
            rates=lambda epoch: [rate_factor(self._training, moment) for moment in self._moments(epoch)],
            gains=lambda epoch: [self._soft_gain(moment) for moment in self._moments(epoch)],
            device=self.device,
        )

    def on_train_end(self) -> None:
        """Give the recording's memory back."""
        self._recorded = None

    def on_train_epoch_start(self) -> None:
        """Make the epoch a function of (seed, epoch), dropout and blends included."""
        self.batches.epoch = self.current_epoch
        self._plan.enter(self.current_epoch)
        self._parts.clear()
        if self._recorded:
            self._recorded.enter(self.current_epoch)
            if self.current_epoch == self._training.head_epochs:
                self._recorded.forget()
        torch.manual_seed(self.batches.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: Batch | Row, index: int) -> dict[str, Tensor]:
        """`loss` and its parts `hard`, `soft` and `hint.*`, and the `output` [N, outputs]. No number is read back from
        a GPU here, so that nothing waits for it.
        """
        if isinstance(batch, Row):
            return self._replayed(batch, index)
        if self._training.compile != "off":
            torch.compiler.cudagraph_mark_step_begin()  # memory of the last step may be used again
        blended = blend(batch, mixup=self._training.mixup, cutmix=self._training.cutmix)
        shown = blended.batch if blended else batch
        with self.hints.watch() if self.hints else contextlib.nullcontext(Taken()) as taken:
            parts = self._learnt(shown, blended, self._soft_gain(self.trainer.global_step / self.batches.steps))
        output = parts.pop("output").detach()
        if self.hints:
            hinted = self.hints.losses(taken)
            parts |= hinted
            parts["loss"] = parts["loss"] + sum(hinted.values())
        for name, value in parts.items():
            self._parts.setdefault(name, []).append(value.detach())
        return parts | {"output": output}

    def _replayed(self, row: Row, index: int) -> dict[str, Tensor]:
        """The step as a recording, weights and all. What it returns is not to be learned from any more."""
        assert self._recorded is not None
        with torch.autocast(self.device.type, enabled=False):  # the forward pass switches on what it wants
            self._recorded(row)
        counted = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        counted.increment_ready()  # Lightning counts the steps of an optimiser that it calls itself
        counted.increment_completed()
        parts = dict(zip(self._recorded.names, self._recorded.history[index].unbind(), strict=True))
        return parts | {"output": self._recorded.output}

    def _losses(self, which: Tensor, view: Tensor, answers: Tensor | None, gain: Tensor) -> dict[str, Tensor]:
        """A recorded step's losses and `output`, for images and views by number, int64 [N] on the device."""
        return self._learnt(self.batches.shown(which, view)._replace(answers=answers), None, gain)

    def _learnt(self, shown: Batch, blended: Blended | None, gain: float | Tensor) -> dict[str, Tensor]:
        """`output`, `loss` and what it is made of, without hints; `gain` of the soft part."""
        output = self._forward(shown.images)
        parts = {"output": output, "hard": self._hard(output, shown, blended)}
        if self._teacher is None:
            return parts | {"loss": parts["hard"]}
        answers = self._teacher.answer(shown) if shown.answers is None else shown.answers
        parts["soft"] = self._soft.between(output, answers, shown.targets)
        hard, soft = self._soft.weights
        return parts | {"loss": hard * parts["hard"] + soft * gain * parts["soft"]}

    def _hard(self, output: Tensor, batch: Batch, blended: Blended | None) -> Tensor:
        smoothing = self._training.smoothing
        own = self._task.hard(output, batch.targets, batch.labelled, smoothing=smoothing)
        if blended is None:
            return own
        targets, labelled = batch.targets[blended.partner], batch.labelled[blended.partner]
        other = self._task.hard(output, targets, labelled, smoothing=smoothing)
        return blended.share * own + (1 - blended.share) * other

    def _soft_gain(self, moment: float) -> float:
        """What the soft loss is multiplied by at a (fractional) epoch."""
        return min(moment / self._distill.warmup, 1.0) if self._distill.warmup else 1.0

    def _moments(self, epoch: int) -> list[float]:
        """Where an epoch's steps begin, in epochs."""
        return [(epoch * self.batches.steps + step) / self.batches.steps for step in range(self.batches.steps)]

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int, dataloader_idx: int = 0) -> None:
        """Collect the answers: a metric such as mAP is not a mean over batches."""
        images, targets = batch
        part = ("test", "validation")[dataloader_idx]
        self._answers.setdefault(part, []).append((self.network(images).float(), targets))

    def on_validation_epoch_end(self) -> None:
        """Record loss and scores for the curves. The test images choose nothing; a validation part may stop early."""
        for part, collected in self._answers.items():
            outputs, targets = (torch.cat(column).cpu() for column in zip(*collected, strict=True))
            everything = torch.ones(len(targets), dtype=torch.bool)
            scores = self._task.score(outputs.numpy(), targets.numpy())
            self._curves[f"{part}_loss"] = self._task.hard(outputs, targets, everything).item()
            self._curves |= {f"{part}_{name}": score for name, score in scores.items()}
        self._answers.clear()
        value = self._curves[f"test_{self._task.metric}"]
        if math.isnan(self.best) or self._task.lost(self.best, value) < 0:
            self.best = value

    def on_train_epoch_end(self) -> None:
        """One line of the curves: what was learned from and what was tested, side by side. It is written here, before
        the epoch's state is kept: a training that is stopped between the two repeats the epoch and the line, and none
        continues from an epoch without a line, which Lightning would write last.
        """
        if self._recorded:
            means = dict(zip(self._recorded.names, self._recorded.history.mean(0), strict=True))
        else:
            means = {name: torch.stack(values).float().mean() for name, values in self._parts.items()}
        line = {name: float(value) for name, value in {**means, **self._curves}.items()}
        self.log_dict(line, logger=False)  # for early stopping
        for logger in self.loggers:
            logger.log_metrics(line | {"epoch": self.current_epoch}, step=self.trainer.global_step - 1)
            logger.save()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The best score so far rides along."""
        checkpoint["best"] = self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """And comes back."""
        self.best = checkpoint["best"]

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser; the rate follows the schedule step by step."""
        optimizer = self._plan.optimizer()
        if self.hints and (adapters := list(self.hints.parameters())):
            optimizer.add_param_group({"params": adapters, "lr": self._training.lr})
        if self.records:  # it looks the rates up in a table
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(self._training, step / self.batches.steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
