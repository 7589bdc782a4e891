"""Which outputs of a teacher belong to the data's labels: matched by name, chosen by the recipe, or taken in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.models.library import IMAGENET, imagenet_names
from zoo.progress import note
from zoo.tasks.class_order import ORDERS, ClassOrder, sorted_as
from zoo.tasks.task import Task

Columns = npt.NDArray[np.int64]
SHOWN = 10  # labels that a line lists


@dataclass(frozen=True)
class Outputs:
    """`count` outputs of the teacher that messages call `teacher`. `names`: those of each label, where they are known.
    `sure`: whether the names say which label is which; if not, a name that is unknown is no reason to refuse the
    outputs in the order of the data's labels. `hint`: what else can be done where they do not fit.
    """

    teacher: str
    count: int
    names: Sequence[Sequence[str]] | None
    sure: bool = True
    hint: str = ""

    def columns(self, task: Task, chosen: ClassOrder | Sequence[int | str] | None) -> Columns | None:
        """Which outputs are those of `task`'s labels, in their order; None where all are, as they stand. `chosen`: what
        the recipe's teacher.outputs says. Prints what is not as it stands. `InputError` when they do not fit.
        """
        each = task.outputs // len(task.labels)
        known = self.count // each
        if chosen == "natural" or chosen == "lexical":
            which = self._in_order(task, chosen)
        elif chosen:
            which = self._chosen(task.labels, chosen, known)
        elif self.names is not None and (found := self._by_name(task.labels)) is not None:
            which = found
        else:
            which = self._in_order(task, None)
        if which == list(range(known)):
            return None
        if self.names is not None or not isinstance(chosen, str):
            note(f"{self.teacher}: its outputs are matched: {self._listed(which, task.labels)}")
        return (np.array(which, dtype=np.int64)[:, None] * each + np.arange(each)).ravel()

    def _chosen(self, labels: Sequence[str], chosen: Sequence[int | str], known: int) -> list[int]:
        if len(chosen) != len(labels):
            raise InputError(
                f"teacher.outputs names {len(chosen)} outputs, and the data has {len(labels)} labels: one is needed "
                f"for each of {_some(labels)}, in this order"
            )
        which = [self._place(entry, known) for entry in chosen]
        if twice := next((entry for entry, at in zip(chosen, which, strict=True) if which.count(at) > 1), None):
            raise InputError(f"teacher.outputs: '{twice}' is an output that is named twice")
        return which

    def _place(self, entry: int | str, known: int) -> int:
        if isinstance(entry, int):
            if not 0 <= entry < known:
                raise InputError(f"teacher.outputs: {self.teacher} has no output {entry}; it has 0 to {known - 1}")
            return entry
        if self.names is None:
            raise InputError(f"teacher.outputs: the outputs of {self.teacher} have no names: give numbers")
        found = self._named(entry)
        if len(found) != 1:
            ours = f"it knows {_some([names[0] for names in self.names])}" if not found else f"{found} are called so"
            raise InputError(f"teacher.outputs: {self.teacher} has no one output '{entry}'; {ours}")
        return found[0]

    def _by_name(self, labels: Sequence[str]) -> list[int] | None:
        assert self.names is not None
        found = [self._named(label) for label in labels]
        if all(len(each) == 1 for each in found) and len({each[0] for each in found}) == len(labels):
            return [each[0] for each in found]
        if not self.sure:
            placed = [(at, each[0]) for at, each in enumerate(found) if len(each) == 1]
            if len(labels) != self.count or all(at == place for at, place in placed):
                return None  # nothing in the names speaks against the order; whether the number fits is seen there
        unknown = [label for label, each in zip(labels, found, strict=True) if len(each) != 1]
        raise InputError(
            f"{self.teacher} does not know {_some(unknown or labels)}; it knows: "
            f"{_some([names[0] for names in self.names])}. If these are other words for the same, say which output is "
            f"which: teacher.outputs, one for each of {_some(labels)}"
        )

    def _named(self, name: str) -> list[int]:
        """Places of the outputs of this name: as it is spelled, or else whatever its case and spaces."""
        assert self.names is not None
        exact = [at for at, names in enumerate(self.names) if name in names]
        plain = _plain(name)
        return exact or [at for at, names in enumerate(self.names) if any(_plain(each) == plain for each in names)]

    def _in_order(self, task: Task, order: ClassOrder | None) -> list[int]:
        if self.count != task.outputs:
            raise InputError(
                f"{self.teacher} answers with {self.count} numbers and {task.outputs} are needed, for "
                f"{_some(task.labels)}: say which are theirs with teacher.outputs, as in teacher.outputs = [0, 1]"
                + self.hint
            )
        labels = list(task.labels)
        natural, lexical = (sorted_as(labels, each) for each in ORDERS)
        if order is None and natural != lexical and labels in (natural, lexical):
            raise InputError(
                f"{self.teacher} does not name its outputs, and libraries number these labels differently: say "
                "teacher.outputs = 'natural' if timm did (2 before 10), 'lexical' if torchvision did (10 before 2)"
            )
        trained_on = labels if order is None else sorted_as(labels, order)
        which = [trained_on.index(label) for label in labels]
        said = f"{order} order" if order else "order"
        note(
            f"{self.teacher} does not name its outputs; they are taken in the {said} of the data's labels: "
            f"{self._listed(which, labels)}. If it was trained in another order, say so with teacher.outputs"
        )
        return which

    def _listed(self, which: Sequence[int], labels: Sequence[str]) -> str:
        def output(at: int) -> str:
            return f"{at} '{self.names[at][0]}'" if self.names is not None else str(at)

        return _some([f"{output(at)} is {label}" for at, label in zip(which, labels, strict=True)])


def named(teacher: str, count: int, labels: Sequence[str]) -> Outputs:
    """The outputs of a bundle or a checkpoint, whose labels are known; numbers in order are not names."""
    unnamed = list(labels) == [str(number) for number in range(len(labels))]
    return Outputs(teacher, count, [[label] for label in labels], sure=not unnamed)


def of_library(model: str, weights: str, count: int) -> Outputs:
    """The outputs of a library's network with so many; those of ImageNet have names."""
    body = "ImageNet body" if count == IMAGENET else "its body"
    hint = f"; or add a [teacher.train]: {body}, new head"
    return Outputs(f"{model} with weights {weights}", count, _known_names(count), sure=False, hint=hint)


def of_graph(model: str, count: int) -> Outputs:
    """The outputs of an ONNX file, which says nothing of them; as many as ImageNet has are taken for its classes."""
    return Outputs(model, count, _known_names(count), sure=False)


def _known_names(count: int) -> list[list[str]] | None:
    return imagenet_names() if count == IMAGENET and find_spec("timm") is not None else None


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - SHOWN:,} more" if len(words) > SHOWN else ""
    return ", ".join(map(str, words[:SHOWN])) + more
