"""From a source to a bundle, step by step. A bundle is written only if every graph in it passed its checks.

    source -> candidates (quantise) -> judge (parity, accuracy budget, structure) -> write

Every kind of source goes through here: a checkpoint, a torch module, a library's model, an ONNX file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from export.packing.candidates import Candidate, candidates
from export.packing.judge import Judge, Judged
from export.packing.request import Request
from export.packing.write import write_bundle
from zoo.bundle.manifest import Manifest, Precision
from zoo.bundle.signature import signer
from zoo.errors import Inconclusive, InputError, VerdictError, ZooError, unexpected
from zoo.files import atomic_folder
from zoo.progress import note, track


class Packing:
    """Writes the bundle `out`, a folder whose name ends in .zoo, as `request` asks for it.

    manifest = Packing(Request(source, "shapes", task, preprocessing, evidence, provenance={}), out).run()
    """

    def __init__(self, request: Request, out: Path) -> None:
        self.request, self.out = request, out

    def run(self) -> Manifest:
        """All steps. Raises `InputError` for what does not fit, `VerdictError` when a graph fails a check and
        `Inconclusive` when the test images are too few to say whether one is within the accuracy budget; then nothing
        is written, and a bundle that was there before stays.
        """
        request, precisions = self.request, self.request.precisions
        if self.out.suffix != ".zoo":
            raise InputError(f"a bundle's name ends in .zoo: {self.out}")
        request.check()
        sign = None if request.options.sign is None else signer(request.options.sign)  # a wrong key fails before work
        with track(f"exporting {request.name}", 1 + len(precisions)) as advance, atomic_folder(self.out) as folder:
            judge = Judge.open(request, folder)  # asks the source for its logits, which graphs are compared with
            fp32 = request.source.fp32()
            # Also when fp32 is not packed: int8 graphs are made from it, and are themselves held to the metric alone.
            accepted = {"fp32": self._first_accepted(judge, [Candidate(fp32, "fp32")])}
            advance()
            left_out: dict[Precision, Exception] = {}
            for precision in precisions:
                if precision != "fp32":
                    try:
                        accepted[precision] = self._first_accepted(judge, candidates(request, fp32, precision))
                    except Exception as error:  # of a stranger's graph a converter may raise anything
                        if not request.leave_out:
                            raise
                        left_out[precision] = error
                advance()
            graphs: dict[Precision, Judged] = {name: accepted[name] for name in precisions if name not in left_out}
            manifest = write_bundle(folder, self._without(left_out, graphs, folder), judge, graphs)
            if sign is not None:
                sign(folder)
        return manifest

    def _without(
        self, left_out: Mapping[Precision, Exception], graphs: Mapping[Precision, Judged], folder: Path
    ) -> Request:
        """The request with the reasons for which precisions are left out; the first of them where nothing is left."""
        if not left_out:
            return self.request
        if not graphs:
            raise next(iter(left_out.values()))
        reasons = {}
        for precision, error in left_out.items():
            (folder / f"model.{precision}.onnx").unlink(missing_ok=True)
            reasons[precision] = str(error) if isinstance(error, ZooError) else unexpected(error)
            note(f"{precision} is left out: {reasons[precision]}")
        return replace(self.request, provenance={**self.request.provenance, "left_out": reasons})

    def _first_accepted(self, judge: Judge, tried: Iterable[Candidate]) -> Judged:
        """The first candidate that passes every check; its file is in the bundle's folder."""
        name, doubt = self.request.name, None
        for number, candidate in enumerate(tried):
            judged = judge(candidate)
            if judged.accepted:
                if number:
                    note(f"{name}: {candidate.precision} keeps {', '.join(candidate.kept)} in fp32")
                if judged.doubt is not None:
                    note(f"{name}: {candidate.precision} is packed with a loss in doubt: {judged.doubt.text}")
                return judged
            doubt = doubt or (judged.doubt if not judged.objections else None)
        reasons = judged.objections if doubt is None else [f"its loss is in doubt: {doubt.text}"]
        if number:
            reasons = [*reasons, f"also with its {len(candidate.kept)} most sensitive layers in fp32"]
        kind = VerdictError if doubt is None else Inconclusive
        raise kind(f"{name}: the {candidate.precision} graph is not packed: {'; '.join(reasons)}")
