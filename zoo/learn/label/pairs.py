"""From replies to what a student learns from: `pairs.parquet`, the tags of each image, and their index `tags.json`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from zoo.data.tags import most_frequent, same_tags_once
from zoo.files import atomic_file, write_text
from zoo.learn.label.labeller import Tags

INDEX, PAIRS = "tags.json", "pairs.parquet"
ROWS = 10_000  # are held in memory at a time


def write(out: Path, pairs: Iterable[tuple[str, Tags]], *, keep: int) -> int:
    """Write both files; `pairs` are (image name, tags), and the `keep` most frequent tags make the index.

    Returns how many tags that are. Parquet columns: name string, tags list<string>, scores list<float>, best first.
    """
    schema = pa.schema([("name", pa.string()), ("tags", pa.list_(pa.string())), ("scores", pa.list_(pa.float32()))])
    counts: Counter[str] = Counter()
    rows = ((name, same_tags_once(tags)) for name, tags in pairs)
    with atomic_file(out / PAIRS) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        while part := list(islice(rows, ROWS)):
            for _, scores in part:
                counts.update(scores.keys())
            columns = [name for name, _ in part], [list(s) for _, s in part], [list(s.values()) for _, s in part]
            writer.write_table(pa.table(list(columns), schema=schema))
    index = most_frequent(counts, keep)
    entries = [{"tag": tag, "count": count} for tag, count in index]
    write_text(out / INDEX, json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    return len(index)
