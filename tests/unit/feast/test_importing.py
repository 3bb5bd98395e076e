"""Feast is imported once, quickly, and works as it does when it is imported plainly."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    """Run code in a fresh interpreter; returns its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_feast_is_imported_without_recompiling_its_methods() -> None:
    assert (
        run("""
from feature_ops.feast.importing import import_feast
feast = import_feast()
print(any("check_argument_types" in name for name in feast.Entity.__init__.__code__.co_names))
""")
        == "False"
    )


def test_typeguard_checks_again_afterwards() -> None:
    assert (
        run("""
from feature_ops.feast.importing import import_feast
import_feast()
import typeguard
print(typeguard.typechecked.__module__.split(".")[0])
""")
        == "typeguard"
    )


def test_a_plain_import_that_came_first_stays_as_it_is() -> None:
    import feast

    from feature_ops.feast.importing import import_feast

    assert import_feast() is feast


DEFINITIONS = """
import sys, warnings
warnings.simplefilter("ignore")
if sys.argv[1] == "ours":
    from feature_ops.feast.importing import import_feast_for_definitions
    import_feast_for_definitions()
from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, PushSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64

song = Entity(name="song", join_keys=["song"])
source = FileSource(path="songs.parquet", timestamp_field="happened")
view = FeatureView(name="songs", entities=[song], schema=[Field(name="energy", dtype=Int64)], source=source)
on_demand = on_demand_feature_view(sources=[view], schema=[Field(name="twice", dtype=Int64)])
for definition in (
    lambda: Entity(name=5),
    lambda: Entity(name="song", join_keys="song"),
    lambda: Field(name="energy", dtype="Int64"),
    lambda: FeatureView(name="songs", entities=["song"], source=source),
    lambda: FeatureView(name="songs", entities=[song], source=source, ttl=5),
    lambda: FeatureService(name="serving", features="songs"),
    lambda: FeatureService(name="serving", features=[view], tags=["a"]),
    lambda: FileSource(path=5),
    lambda: PushSource(name="pushed", batch_source=5),
    lambda: Project(name=5),
    lambda: view["energy"],
    lambda: view[["energy"]].projection.features[0].name,
    lambda: view.with_join_key_map(5),
    lambda: FeatureService.from_proto(5),
    lambda: view.set_projection(5),
    lambda: on_demand(lambda songs: songs).name,
    lambda: FeatureView.from_proto(view.to_proto()) == view,
):
    try:
        print(repr(definition()))
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_wrong_definitions_are_told_as_after_a_plain_import() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", DEFINITIONS, who], capture_output=True, text=True, timeout=120, check=True
        ).stdout
        for who in ("ours", "Feast's")
    ]
    assert told[0] == told[1]
    assert told[0].count("TypeCheckError") >= 10


def test_for_definitions_only_constructors_are_recompiled_while_feast_is_imported() -> None:
    assert (
        run("""
from feature_ops.feast.importing import import_feast_for_definitions
feast = import_feast_for_definitions()
def is_checked(function):
    return any("check_argument_types" in name for name in function.__code__.co_names)
print(is_checked(feast.Entity.__init__), is_checked(feast.Entity.from_proto.__func__))
""")
        == "True False"
    )
