"""A grid of filter pictures, each with how much it excites its channel."""

from __future__ import annotations

from pathlib import Path

from zoo.learn.draw.grid import draw_grid
from zoo.learn.draw.maximise import activations, maximise
from zoo.learn.draw.style import SOFT
from zoo.models.normalisation import Normalised


def draw_filters(
    title: str,
    network: Normalised,
    layer: str,
    out: Path,
    *,
    size: int,
    count: int = 16,
    steps: int = 128,
    seed: int = 0,
) -> None:
    """Write pictures [size, size] for the first `count` channels of a layer, or for all where there are fewer."""
    start = maximise(network, layer, [0], size=size, steps=0, seed=seed)
    before = activations(network, layer, start)[0]
    channels = range(min(count, len(before)))
    pictures = maximise(network, layer, channels, size=size, steps=steps, seed=seed)
    after = activations(network, layer, pictures).diagonal()
    captions = [[(f"{channel}:  {before[channel]:.2f} → {after[channel]:.2f}", SOFT)] for channel in channels]
    note = "channel: mean activation, by noise → by the picture"
    draw_grid(out, list(pictures.numpy()), captions, title=f"{title}, {layer}", note=note)
