"""A repository of another shape, played from a push and a file to online features, by both DAGs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from feature_ops.feast.ledger import Ledger
from feature_ops.settings import Settings

if TYPE_CHECKING:
    from conftest import Team

SHOP = Path(__file__).with_name("shop")
CONFIGURATION = """\
project: shop
provider: local
registry:
  registry_type: sql
  path: ${FEAST_REGISTRY_URL}
offline_store:
  type: file
online_store:
  type: redis
  connection_string: ${FEAST_ONLINE_STORE}
entity_key_serialization_version: 3
"""
HOUR = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Shop:
    """The team's folder, and the features as a reader finds them."""

    def __init__(self, team: Team, storage: Settings) -> None:
        self.team, self.uri, self.storage = team, storage.storage_uri, storage
        self.run: Callable[..., str]
        for part in ("dags", "feature_repo", "repository/feature_repo"):
            (team.folder / part).mkdir(parents=True)
        self._declare()
        for repo in ("feature_repo", "repository/feature_repo"):
            (team.folder / repo / "feature_store.yaml").write_text(CONFIGURATION)

    def _declare(self) -> None:
        dags = self.team.folder / "dags"
        shutil.copy(SHOP / "datasets.py", dags / "datasets.py")
        shutil.copy(SHOP / "features_dag.py", dags / "features_dag.py")
        for name in ("STOCK", "RATINGS"):
            text = (SHOP / "etl.py").read_text().replace("import DATASET", f"import {name} as DATASET")
            (dags / f"{name.lower()}_etl.py").write_text(text)

    def push(self, subject: str, *replaced: tuple[str, str]) -> str:
        """Push the definitions, some texts of them replaced, without `feast apply`."""
        text = (SHOP / "definitions.py").read_text().replace("STORAGE", self.uri)
        for before, after in replaced:
            assert before in text
            text = text.replace(before, after)
        repository = self.team.folder / "repository"
        (repository / "feature_repo" / "definitions.py").write_text(text)
        return self.team.push(subject, repository)

    def etl(self, dataset: str, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> str:
        file = self.team.folder / "rows.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema), file)
        return self.run(f"{dataset}_etl", dataset_url=file.as_uri())

    def store(self) -> FeatureStore:
        return FeatureStore(repo_path=str(self.team.folder / "feature_repo"))

    def online(self, what: str | list[str], **request: Any) -> dict[str, Any]:
        store = self.store()
        asked: Any = store.get_feature_service(what) if isinstance(what, str) else what
        answer = store.get_online_features(asked, [request]).to_dict()
        return {name: values[0] for name, values in answer.items()}


@pytest.fixture
def shop(
    make_team: Callable[..., Team], storage: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    monkeypatch.setenv("FEATURE_OPS_SOURCE_SCHEMES", '["file"]')
    monkeypatch.setenv("FEATURE_OPS_SOURCE_FOLDERS", f'["{tmp_path}"]')
    team = make_team(tmp_path)
    shop = Shop(team, storage)
    with team.airflow() as run:
        shop.run = run
        yield shop


def level(item: int, left: int, hour: datetime = HOUR, **more: Any) -> dict[str, Any]:
    return {"SHOP_ID": "north", "item": item, "left": left, "counted_at": hour, **more}


# Six runs of DAGs: a minute and a half alone, much longer beside other tests.
@pytest.mark.timeout(900)
def test_both_dags_work_on_another_shape_with_declarations_only(shop: Shop, registry_url: str) -> None:
    shop.push("Define the shop's features")
    said = shop.run("shop_features")
    assert "additive" in said
    assert "nothing to backfill" in said or "no files yet" in said

    said = shop.etl("stock_levels", [level(1, 5, price=0.1, shelves=["a"]), level(2, 7)])
    assert "2 keys with 2 features read back: as in the history" in said
    said = shop.etl(
        "shop_ratings", [{"code": "north", "stars": 4.5, "day": HOUR, "place": {"city": "Oslo", "zip": None}}]
    )
    assert "1 key with 2 features read back: as in the history" in said

    assert shop.online("shelf_v1", shop_id="north", Item=1, wanted=2) == {
        "shop_id": "north",
        "Item": 1,
        "left": 5,
        "left_after": 3,
    }
    of_shop = shop.online("shop_v1", shop_id="north", Item=1)
    assert of_shop["rating"] == 4.5
    assert of_shop["place"] == {"city": "Oslo", "zip": None}
    assert of_shop["price"] == pytest.approx(0.1)

    # A late row, a correction and a new key, by Feast's own way of loading.
    late = datetime(2026, 4, 1, tzinfo=UTC)
    said = shop.etl("stock_levels", [level(3, 1, shelves=["b", "c"]), level(1, 9, late), level(1, 4)])
    assert "3 new rows, 0 already known" in said
    assert "features read back: as in the history" in said
    assert [shop.online(["stock:left"], shop_id="north", Item=i)["left"] for i in (1, 2, 3)] == [4, 7, 1]
    said = shop.etl("shop_ratings", [{"code": "south", "stars": 1.0, "day": HOUR}])
    assert "1 key with 2 features read back: as in the history" in said

    commit = shop.push(
        "Tell the shelves and how many rated",
        ("import Float32,", "import Array, Float32,"),
        ("# more features", 'Field(name="shelves", dtype=Array(String)),'),
        ('"stars": "rating",', '"stars": "rating", "reviews": "votes",'),
        (
            'Field(name="place", dtype=Map),',
            'Field(name="place", dtype=Map), Field(name="votes", dtype=Int32),',
        ),
    )
    said = shop.run("shop_features")
    assert "+ stock:shelves" in said
    assert f"{commit[:10]} is applied" in said
    shelves = [shop.online(["stock:shelves"], shop_id="north", Item=i)["shelves"] for i in (1, 2, 3)]
    assert shelves == [None, None, ["b", "c"]], "the first row of item 1 was corrected"
    assert shop.online(["ratings:votes", "ratings:rating"], shop_id="south") == {
        "shop_id": "south",
        "votes": None,
        "rating": 1.0,
    }
    ledger = Ledger(registry_url)
    assert {view: len(ledger.online("shop", view)) for view in ("stock", "prices", "ratings")} == {
        "stock": 2,
        "prices": 2,
        "ratings": 2,
    }
