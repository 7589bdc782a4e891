"""What one training step does: a Lightning module, whose state is the network and the adapters of its hints alone."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from zoo.engines.torch.compiling import compiled
from zoo.errors import InputError
from zoo.learn.batch import Batch
from zoo.learn.hints.pairs import Features, Hints
from zoo.learn.losses.soft_part import soft_part
from zoo.learn.recipe.schema import Distillation, Training
from zoo.learn.teachers.base import Teacher
from zoo.learn.train.batches import Batches
from zoo.learn.train.cuda_graph_step import CapturedStep, StepInputs
from zoo.learn.train.mixup_cutmix import Mixed, mixup_cutmix
from zoo.learn.train.schedule import WeightSchedule, rate_factor
from zoo.models.normalisation import Normalised
from zoo.tasks.learning.task import LearnableTask

# What the losses of auxiliary heads are multiplied by: Szegedy et al. 2014 (GoogLeNet, arXiv:1409.4842) for two heads,
# Szegedy et al. 2015 (Inception v3, arXiv:1512.00567) for one, as PyTorch's tutorials have it.
SEVERAL_AUXILIARY, ONE_AUXILIARY = 0.3, 0.4


class Learner(L.LightningModule):
    """A network that learns a task from labels, and from a teacher if there is one. Teacher and data are not part of
    its state: they are neither trained nor saved.

    `training_step` returns a dict:

    - `loss`: float scalar, what is minimised: hard (with auxiliary) and soft with their weights, and the sum of the
      hints
    - `hard`: the task's loss against the labels
    - `auxiliary`: that of a network's auxiliary heads, times their weight; only with such heads
    - `soft`: the soft loss against the teacher's logits; only with a teacher
    - `hint.LOSS:LAYER`: the weighted loss of each hint; only with hints
    - `output`: float [N, outputs], the network's logits for the batch, without gradient

    Lightning calls, in this order: `on_fit_start` (device), `on_train_start`, then for each epoch
    `on_train_epoch_start`, `training_step` for each batch, `validation_step` for each batch of the test images, and
    `on_train_epoch_end` (curves). `zoo.learn.train.training.fit` runs all of it::

        batches = Batches(images, views, task, batch=64, steps=100, seed=0)
        learner = Learner(network, task, settings, batches, teacher=teacher, distill=recipe.distill)
        epochs = fit(learner, folder, test, title="vgg", settings=settings, processes=1, resume=False)
        learner.network  # trained, uint8 [N, H, W, 3] -> logits [N, outputs]
    """

    def __init__(
        self,
        network: Normalised,
        task: LearnableTask,
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
        self.score = ""  # the latest, for a person
        self._task, self._training = task, training
        self._teacher, self._distill = teacher, distill or Distillation()
        self._soft = soft_part(task, self._distill) if teacher is not None else None
        self._weights = WeightSchedule(network.network, training)
        self._captured: CapturedStep | None = None
        self.captures = self._training.compile == "graph"
        self.automatic_optimization = not self.captures
        if training.compile != "off":
            torch.compiler.reset()  # else the networks of earlier learners count towards the most that it compiles
        # A captured step is compiled as a whole, from the numbers of the images to the losses.
        self._forward = network.outputs if self.captures else compiled(network.outputs, training.compile)
        self._losses_of_steps: dict[str, list[Tensor]] = {}  # Lightning's own means take time in every step
        self._curves: dict[str, float] = {}
        self._outputs: dict[str, list[tuple[Tensor, Tensor]]] = {}  # and targets, of test and validation

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning sets the name of the running hook some twenty times a step: no need to search it for weights."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Training batches are there already."""
        if isinstance(batch, Batch | StepInputs):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_fit_start(self) -> None:
        """Move images and teacher to the network's device, and have soft labels fetched before their steps."""
        self.batches.to(self.device, rank=self.trainer.global_rank, processes=self.trainer.world_size)
        self.batches.prefetch = None
        if self._teacher is not None:
            self._teacher.to(self.device)
            self.batches.prefetch = self._teacher.prefetch

    def on_train_start(self) -> None:
        """Prepare the capture, after the state of a stopped training was loaded."""
        if not self.captures:
            return
        if not self.batches.renders_on_device:
            raise InputError("train.compile = 'graph' needs all images in the GPU's memory, which has no room for them")
        self._captured = CapturedStep(
            compiled(self._losses, "graph"),
            ("hard", "loss") if self._teacher is None else ("hard", "soft", "loss"),
            self.trainer.optimizers[0],
            self.trainer.precision_plugin.forward_context,
            rates=lambda epoch: [rate_factor(self._training, moment) for moment in self._moments(epoch)],
            gains=lambda epoch: [self._soft_gain(moment) for moment in self._moments(epoch)],
            device=self.device,
        )

    def on_train_end(self) -> None:
        """Free the memory of the captured step."""
        self._captured = None

    def on_train_epoch_start(self) -> None:
        """Make the epoch a function of (seed, epoch), with its dropout and mixup."""
        self.batches.epoch = self.current_epoch
        self._weights.begin_epoch(self.current_epoch)
        self._losses_of_steps.clear()
        if self._captured:
            self._captured.begin_epoch(self.current_epoch)
            if self.current_epoch == self._training.head_epochs:
                self._captured.discard()
        torch.manual_seed(self.batches.seed * 100_003 + self.current_epoch)

    def training_step(self, batch: Batch | StepInputs, index: int) -> dict[str, Tensor]:
        """`loss`, `hard`, `soft`, `hint.*` and `output`, as described above. No number is read back from a GPU here, so
        that no step waits for it.
        """
        if isinstance(batch, StepInputs):
            return self._replayed(batch, index)
        if self._training.compile != "off":
            torch.compiler.cudagraph_mark_step_begin()  # the last step's memory may be used again
        mixed = mixup_cutmix(batch, mixup=self._training.mixup, cutmix=self._training.cutmix)
        shown = mixed.batch if mixed else batch
        with self.hints.watch() if self.hints else contextlib.nullcontext(Features()) as features:
            gain = self._soft_gain(self.trainer.global_step / self.batches.steps)
            parts = self._forward_and_losses(shown, mixed, gain)
        output = parts.pop("output").detach()
        if self.hints:
            hinted = self.hints.losses(features)
            parts |= hinted
            parts["loss"] = parts["loss"] + sum(hinted.values())
        for name, value in parts.items():
            self._losses_of_steps.setdefault(name, []).append(value.detach())
        return parts | {"output": output}

    def _replayed(self, inputs: StepInputs, index: int) -> dict[str, Tensor]:
        """The whole step by replay, its update of the weights included. What it returns has no gradient."""
        assert self._captured is not None
        with torch.autocast(self.device.type, enabled=False):  # the forward pass has its own precision
            self._captured(inputs)
        counted = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        counted.increment_ready()  # Lightning counts the steps of an optimiser that it calls itself
        counted.increment_completed()
        parts = dict(zip(self._captured.names, self._captured.history[index].unbind(), strict=True))
        return parts | {"output": self._captured.output}

    def _losses(self, which: Tensor, view: Tensor, logits: Tensor | None, gain: Tensor) -> dict[str, Tensor]:
        """A captured step's losses and `output`, for images and views by number, int64 [N] on the device; `logits`: the
        teacher's, where they were prefetched.
        """
        return self._forward_and_losses(self.batches.render(which, view)._replace(teacher_logits=logits), None, gain)

    def _forward_and_losses(self, shown: Batch, mixed: Mixed | None, gain: float | Tensor) -> dict[str, Tensor]:
        """`output` and all losses but those of hints; `gain`: what the soft loss is multiplied by."""
        output, others = self._forward(shown.images)
        parts = {"output": output, "hard": self._hard(output, shown, mixed)}
        from_labels = parts["hard"]
        if others:
            each = ONE_AUXILIARY if len(others) == 1 else SEVERAL_AUXILIARY
            parts["auxiliary"] = each * torch.stack([self._hard(other, shown, mixed) for other in others]).sum()
            from_labels = from_labels + parts["auxiliary"]
        if self._teacher is None or self._soft is None:
            return parts | {"loss": from_labels}
        logits = self._teacher.logits(shown) if shown.teacher_logits is None else shown.teacher_logits
        parts["soft"] = self._soft.between(output, logits, shown.targets)
        hard, soft = self._soft.weights
        return parts | {"loss": hard * from_labels + soft * gain * parts["soft"]}

    def _hard(self, output: Tensor, batch: Batch, mixed: Mixed | None) -> Tensor:
        """The task's loss against the labels; of a mixed batch against both images' labels, by their shares."""
        smoothing = self._training.smoothing
        own = self._task.hard(output, batch.targets, batch.labelled, smoothing=smoothing)
        if mixed is None:
            return own
        targets, labelled = batch.targets[mixed.partner], batch.labelled[mixed.partner]
        other = self._task.hard(output, targets, labelled, smoothing=smoothing)
        return mixed.share * own + (1 - mixed.share) * other

    def _soft_gain(self, moment: float) -> float:
        """What the soft loss is multiplied by at a (fractional) epoch."""
        return min(moment / self._distill.warmup, 1.0) if self._distill.warmup else 1.0

    def _moments(self, epoch: int) -> list[float]:
        """Where an epoch's steps begin, in epochs."""
        return [(epoch * self.batches.steps + step) / self.batches.steps for step in range(self.batches.steps)]

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int, dataloader_idx: int = 0) -> None:
        """Collect the outputs: a metric such as mAP is not a mean over batches."""
        images, targets = batch
        part = ("test", "validation")[dataloader_idx]
        self._outputs.setdefault(part, []).append((self.network(images).float(), targets))

    def on_validation_epoch_end(self) -> None:
        """Loss and scores for the curves. Test images decide nothing; a validation part may stop the training early."""
        for part, collected in self._outputs.items():
            outputs, targets = (torch.cat(column).cpu() for column in zip(*collected, strict=True))
            everything = torch.ones(len(targets), dtype=torch.bool)
            scores = self._task.score(outputs.numpy(), targets.numpy())
            self._curves[f"{part}_loss"] = self._task.hard(outputs, targets, everything).item()
            self._curves |= {f"{part}_{name}": score for name, score in scores.items()}
        self._outputs.clear()
        value = self._curves[f"test_{self._task.metric}"]
        self.score = self._task.phrase(value)
        if math.isnan(self.best) or self._task.lost(self.best, value) < 0:
            self.best = value

    def on_train_epoch_end(self) -> None:
        """One line of the curves: the means of the training losses, and the scores of the test images. It is written
        before the epoch's state is saved. A training that is stopped between the two repeats the epoch and its line;
        the other way round, as Lightning does it, the line would be missing.
        """
        if self._captured:
            means = dict(zip(self._captured.names, self._captured.history.mean(0), strict=True))
        else:
            means = {name: torch.stack(values).float().mean() for name, values in self._losses_of_steps.items()}
        line = {name: float(value) for name, value in {**means, **self._curves}.items()}
        self.log_dict(line, logger=False)  # for early stopping
        for logger in self.loggers:
            logger.log_metrics(line | {"epoch": self.current_epoch}, step=self.trainer.global_step - 1)
            logger.save()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the best score so far, too."""
        checkpoint["best"] = self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load it again."""
        self.best = checkpoint["best"]

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser; its rates follow the schedule step by step."""
        optimizer = self._weights.optimizer()
        if self.hints and (adapters := list(self.hints.parameters())):
            optimizer.add_param_group({"params": adapters, "lr": self._training.lr})
        if self.captures:  # the captured step looks its rates up in a table
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(self._training, step / self.batches.steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
