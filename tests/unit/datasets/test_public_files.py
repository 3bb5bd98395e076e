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
from feature_ops.datasets.normalize import normalize
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
    r"bad_data/(?!ARROW-GH-43605)": "is damaged",
    r"column_chunk_key_value_metadata": "has no rows",
    r"incorrect_map_schema": "can't read the file's schema: Map keys must be annotated as required",
    r"large_string_map": "does not support: Nested data conversions not implemented",
}

needs_files = pytest.mark.skipif(not FILES, reason=f"there are no public parquet files in {FOLDER}")


# At some files Arrow aborts the process.
ABORTS = [name for name in FILES if "plaintext_footer" in name]
# One of its times is beyond the range of microseconds: Arrow reads another time.
FAR_TIME = "data/int96_from_spark.parquet"
OTHERS = [name for name in FILES if name not in (*ABORTS, FAR_TIME)]

# A process of its own, should Arrow abort at another one.
_READER = """
import json, sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from feature_ops.datasets.parquet_source import open_parquet
from feature_ops.datasets.parser import WithoutPandas
from feature_ops.datasets.pieces import Pieces
from feature_ops.datasets.plain_arrays import plain_array
from feature_ops.exceptions import BadInputError

sys.meta_path.insert(0, WithoutPandas())

def read(path):
    try:
        with open_parquet(path) as file:
            pieces = list(Pieces(path, file, file.schema_arrow.names, 2**30))
    except BadInputError as refusal:
        return f"refused: {refusal}"
    found = pa.concat_tables([pa.table(piece) for piece in pieces])
    expected = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
    equal = all(same(one, other) for one, other in zip(found.columns, expected.columns, strict=True))
    return "same" if equal else "different"

def same(found, expected):
    try:
        return repr(found.to_pylist()) == repr(expected.to_pylist())
    except (ValueError, OverflowError):  # Python has no such times
        return found.equals(pa.chunked_array([plain_array(chunk) for chunk in expected.chunks]))

print(json.dumps({name: read(Path(sys.argv[1], name)) for name in sys.argv[2:]}))
"""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What became of each file that Arrow reads without an abort."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _READER, str(FOLDER), *OTHERS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


@needs_files
@pytest.mark.parametrize("name", OTHERS)
def test_a_public_file_is_read_as_arrow_reads_it_or_refused_with_a_true_reason(
    name: str, outcomes: dict[str, str]
) -> None:
    reasons = (f"refused: .*{reason}" for pattern, reason in REFUSED.items() if re.search(pattern, name))
    assert re.fullmatch(f"{next(reasons, 'same')}.*", outcomes[name])


@needs_files
@pytest.mark.parametrize("name", ABORTS)
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


@needs_files
def test_a_time_that_arrow_reads_wrongly_is_refused_with_its_row(tmp_path: Path) -> None:
    dataset = Dataset(
        name="times",
        keys=("id",),
        columns=(
            Column(name="id", type=ColumnType.INT64),
            Column(name="a", type=ColumnType.TIMESTAMP, nullable=True),
        ),
    )
    found = normalize(
        FOLDER / FAR_TIME, tmp_path / "out", dataset, timestamp_column="", stamp=NOW, latest=NOW, limit=LIMIT
    )
    (fault,) = [str(violation) for violation in found.violations if violation.column == "a"]
    assert fault.startswith(
        "column 'a' has values that do not fit into timestamp[us, tz=UTC] unchanged in at least 1 row"
    )
    assert "(row 6: " in fault
