"""The parquet format's own public test files are read as Arrow reads them, or refused with a true reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_ops.datasets.column import Column, ColumnType
from feature_ops.datasets.dataset import Dataset
from feature_ops.datasets.parser_process import Limits, parse
from feature_ops.exceptions import BadInputError
from tests.conftest import PROJECT

FOLDER = Path(os.environ.get("PARQUET_TESTING") or PROJECT.parent / "shared" / "parquet-testing")
FILES = sorted(
    str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if re.search(r"\.parquet(\.|$)", path.name)
)
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
LIMIT = 1024**3

# Why a file that is not read is refused.
REFUSED = {
    r"\.json$": "is not parquet",
    r"encrypt": "is encrypted",
    r"corrupt-checksum": r"is damaged: .*CRC checksum verification failed",
    r"bad_data/": "is damaged",
    r"column_chunk_key_value_metadata": "has no rows",
    r"incorrect_map_schema": "can't read the file's schema: Map keys must be annotated as required",
    r"large_string_map": "does not support: Nested data conversions not implemented",
}

needs_files = pytest.mark.skipif(not FILES, reason=f"there are no public parquet files in {FOLDER}")


# A process for all files that forks for each: Arrow may abort.
_READER = """
import json, os, sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from feature_ops.exceptions import BadInputError

def read(path):
    try:
        with open_parquet(path) as file:
            pieces = list(Pieces(path, file, file.schema_arrow.names, 2**30))
    except BadInputError as refusal:
        return f"refused: {refusal}"
    found = pa.concat_tables([pa.table(piece) for piece in pieces])
    expected = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
    same = all(shown(one) == shown(other) for one, other in zip(found.columns, expected.columns, strict=True))
    return "same" if same else "different"

def shown(column):
    try:
        return repr(column.to_pylist())
    except ValueError:  # Python has no such times
        return str(column.cast(pa.int64()))

for name in sys.argv[2:]:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        print(json.dumps([name, read(Path(sys.argv[1], name))]), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What became of each file that Arrow reads without an abort."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _READER, str(FOLDER), *FILES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(line) for line in done.stdout.splitlines())


@needs_files
@pytest.mark.parametrize("name", [name for name in FILES if "plaintext_footer" not in name])
def test_a_public_file_is_read_as_arrow_reads_it_or_refused_with_a_true_reason(
    name: str, outcomes: dict[str, str]
) -> None:
    reasons = (f"refused: .*{reason}" for pattern, reason in REFUSED.items() if re.search(pattern, name))
    assert re.fullmatch(f"{next(reasons, 'same')}.*", outcomes[name])


@needs_files
@pytest.mark.parametrize("name", [name for name in FILES if "plaintext_footer" in name])
def test_a_public_file_at_which_arrow_aborts_is_refused(name: str, tmp_path: Path) -> None:
    dataset = Dataset(
        name="secrets",
        keys=("int64_field",),
        columns=(
            Column(name="int64_field", type=ColumnType.INT64),
            Column(name="double_field", type=ColumnType.DOUBLE),
        ),
    )
    limits = Limits(LIMIT, LIMIT, 120)
    with pytest.raises(BadInputError, match="is encrypted"):
        parse(FOLDER / name, tmp_path, dataset, timestamp_column="", stamp=NOW, latest=NOW, limits=limits)
