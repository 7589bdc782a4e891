"""A network that torch runs, as a subject: in eager mode as its owner runs it, or compiled."""

from __future__ import annotations

from bench.cases import COMPILED, Case
from bench.results import EngineFacts
from bench.subjects.foreign import network_of
from bench.subjects.subject import Subject, predictor, preprocess_many, weight_bytes
from zoo.engines.backend import Timed
from zoo.errors import need


def open_checkpoint(case: Case) -> Subject:
    """A checkpoint of ours or a library's network. Raises the errors of the checkpoint's reader."""
    need("torch", extra="train", purpose="measuring a checkpoint")
    from zoo.engines.torch.network import Served

    network = network_of(case)
    served = Served(
        network.network,
        compile=case.backend == COMPILED,
        precision=case.precision,
        device=case.device,
        threads=case.threads,
        cuda_graph=case.variant == "cuda-graph",
    )
    return Subject(
        logits=served.run,
        predict=predictor(served.run, network.task, network.preprocessing),
        decide=lambda pictures: served.run(preprocess_many(pictures, network.preprocessing)[0]),
        task=network.task,
        preprocessing=network.preprocessing,
        engine=EngineFacts.of(served, case.precision).model_copy(update={"backend": case.backend}),
        parameters=network.cost.parameters,
        macs=network.cost.macs,
        bytes_on_disk=weight_bytes(case.subject),
        compute=served.compute_seconds if isinstance(served, Timed) else None,
    )
