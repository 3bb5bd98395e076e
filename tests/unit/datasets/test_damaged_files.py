"""Files with random damage are read or refused; nothing but Arrow itself may fail at them."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.pieces import _check_dictionaries

Rows = Callable[..., dict[str, Any]]
COUNT = 80

# Forks for each file: Arrow aborts at some, which the parser's own process turns into a refusal.
_READER = """
import os, resource, sys
from datetime import UTC, datetime
from pathlib import Path
import pyarrow.compute, pyarrow.parquet
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.normalize import normalize
from feature_ops.datasets.parser import WithoutPandas
from feature_ops.exceptions import BadInputError

sys.meta_path.insert(0, WithoutPandas())
dataset, now = Dataset.model_validate_json(sys.argv[2]), datetime(2026, 7, 1, 12, tzinfo=UTC)
times = {"stamp": now, "latest": now, "limit": 2**30}
resource.setrlimit(resource.RLIMIT_DATA, (3 * 2**30, 3 * 2**30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

def read(path):
    try:
        normalize(path, path.with_suffix(".out"), dataset, timestamp_column="", **times)
    except (BadInputError, MemoryError) as refusal:
        return "refused"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "read"

for path in sorted(Path(sys.argv[1]).iterdir()):
    child = os.fork()
    if not child:
        print(path.name, read(path), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def damaged(content: bytes, choice: random.Random) -> bytes:
    """Change some bytes, half of them in the footer."""
    found = bytearray(content)
    footer = len(found) - 8 - int.from_bytes(found[-8:-4], "little")
    for _ in range(choice.choice([1, 1, 2, 8])):
        position = choice.randrange(choice.choice([4, footer]), len(found) - 8)
        found[position] = choice.choice([choice.randrange(256), 0, 255, found[position] ^ 1])
    return bytes(found)


def test_random_damage_is_read_or_refused(rows: Rows, dataset: Dataset, tmp_path: Path) -> None:
    table = pa.table(rows(tuple(map(str, range(50))), note=[f"note {number % 5}" for number in range(50)]))
    originals = []
    for options in (
        {},
        {"use_dictionary": False, "data_page_version": "2.0", "compression": "none"},
        {"use_dictionary": False, "column_encoding": {"plant": "DELTA_BYTE_ARRAY"}, "row_group_size": 20},
    ):
        buffer = io.BytesIO()
        pq.write_table(table, buffer, **options)
        originals.append(buffer.getvalue())
    choice = random.Random(7)
    for number in range(COUNT):
        (tmp_path / f"{number:03}").write_bytes(damaged(choice.choice(originals), choice))

    done = subprocess.run(
        [sys.executable, "-c", _READER, str(tmp_path), dataset.model_dump_json()],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "ARROW_DEFAULT_MEMORY_POOL": "system",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    outcomes = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert {name: outcome for name, outcome in outcomes.items() if outcome not in ("read", "refused")} == {}
    assert list(outcomes.values()).count("refused") > COUNT / 2
    # Those at which Arrow aborts.
    assert len(outcomes) > COUNT * 0.9


@pytest.mark.parametrize("index", [2, -1, 127])
def test_a_value_outside_of_its_dictionary_is_damage(index: int) -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, None, index], pa.int8()), ["a", "b"], safe=False)
    with pytest.raises(pa.ArrowInvalid, match="of a dictionary of 2 values"):
        _check_dictionaries(pa.record_batch({"x": array}))
    lists = pa.ListArray.from_arrays([0, 3], array)
    with pytest.raises(pa.ArrowInvalid):
        _check_dictionaries(pa.record_batch({"x": lists}))
