"""Definitions depend on nothing but the input files of their commit."""

from __future__ import annotations

import importlib.util
import os
import py_compile
from pathlib import Path

import pytest

from feature_ops.feast.diff.compare import compare
from feature_ops.feast.diff.definitions import Definitions
from feature_ops.feast.diff.loading import DefinitionsError, Limits, try_load
from feature_ops.feast.diff.verdict import Verdict
from tests.integration.feast.diff import shop

START = "from feast import Entity, ValueType\nSTRING = ValueType.STRING\n"
ENTITY = 'e = Entity(name="e", value_type=ValueType.STRING, tags={"made": str(%s)})\n'

# What a tag is made of. All of it differs between two readings.
DEPENDS = {
    "the time": "__import__('time').time()",
    "the year": "__import__('datetime').date.today().year",
    "a timestamp of pandas": "__import__('pandas').Timestamp.now().year",
    "a random number": "__import__('random').random()",
    "a random number of numpy": "__import__('numpy').random.rand()",
    "a new generator of numpy": "__import__('numpy').random.default_rng().random()",
    "chance from the system": "__import__('os').urandom(4).hex()",
    "a uuid": "__import__('uuid').uuid4()",
    "the hash of a text": "hash('a')",
    "the order of a set": "list({'aa', 'bb', 'cc', 'dd', 'ee', 'ff', 'gg', 'hh'})",
    "an address": "id(object())",
    "the process id": "__import__('os').getpid()",
    "the true process id": "open('/proc/self/stat').read().split()[0]",
    "the host name": "__import__('socket').gethostname()",
    "the order of a directory": "__import__('os').listdir('data')",
    "the order of a pattern": "[path.name for path in __import__('pathlib').Path('data').glob('*')]",
    "a modification time": "__import__('os').path.getmtime('data/a')",
    "the folder": "__import__('os').getcwd()",
    "its own file": "__file__",
    "a variable of the environment": "__import__('os').environ['TMPDIR']",
}
# What the environment does not have is the same in both readings, whatever the environment of the caller.
HIDDEN = {"the callers environment": "__import__('os').environ.get('STAGE', 'none')"}
OBJECTS = {
    "an object by chance": "import os\nif os.getpid() % 2:\n    f = Entity(name='f', value_type=STRING)\n",
    "a failure by chance": "import os\nassert os.getpid() % 2 == 0, 'no'\n",
    "a name by chance": "import os\nf = Entity(name=f'f{os.getpid()}', value_type=ValueType.STRING)\n",
}
DATA = "words = open('words.csv').read().split()\n"
DOCUMENT = "import os\nfound = [name for name in os.listdir('.') if name.endswith('.md')]\n"
SOURCE = "import inspect, sys\nfound = inspect.getsource(sys.modules[__name__]).count('# more')\n"


def repository(folder: Path, code: str, **files: str) -> Path:
    (folder / "data").mkdir(parents=True)
    for name in "bca":
        (folder / "data" / name).write_text(name)
    (folder / "feature_store.yaml").write_text("project: shop\n")
    (folder / "features.py").write_text(START + code)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def with_byte_code(folder: Path) -> Path:
    """Put byte code next to a source that Python takes without looking at the source."""
    repository(folder, ENTITY % "'source'")
    evil = folder / "evil.py"
    evil.write_text(START + ENTITY % "'byte code'")
    for target in (importlib.util.cache_from_source(str(folder / "features.py")), str(folder / "hidden.pyc")):
        py_compile.compile(
            str(evil), target, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, doraise=True
        )
    evil.unlink()
    with (folder / "features.py").open("a") as file:
        file.write(
            "try:\n    import hidden\nexcept ImportError:\n    pass\nelse:\n    raise ValueError('run')\n"
        )
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Definitions | DefinitionsError]:
    """All repositories, loaded by one call: Feast is imported once for each of the two readings."""
    home = tmp_path_factory.mktemp("repositories")
    codes = {**{name: ENTITY % made for name, made in {**DEPENDS, **HIDDEN}.items()}}
    codes.update({name: ENTITY % "1" + code for name, code in OBJECTS.items()})
    folders = {name: repository(home / name.replace(" ", "_"), code) for name, code in codes.items()}
    for words in ("one", "two"):
        folders[f"data {words}"] = repository(
            home / f"data_{words}", DATA + ENTITY % "words", words_csv=words
        )
        folders[f"document {words}"] = repository(
            home / f"document_{words}",
            DOCUMENT + ENTITY % "found",
            **({} if words == "one" else {"a_md": "x"}),
        )
        folders[f"comment {words}"] = repository(
            home / f"comment_{words}", SOURCE + ENTITY % "found" + ("" if words == "one" else "# more\n")
        )
    folders["every kind of object"] = repository(home / "shop", shop.SHOP)
    folders["byte code"] = with_byte_code(home / "byte_code")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STAGE", "production")
        environment.setenv("PYTHONHASHSEED", "7")
        return try_load(folders, limits=Limits(seconds=20))


@pytest.mark.parametrize("name", DEPENDS)
def test_what_depends_on_time_chance_or_machine_is_refused_with_object_and_field(
    name: str, results: dict[str, Definitions | DefinitionsError]
) -> None:
    found = results[name]
    assert isinstance(found, DefinitionsError)
    assert str(found).startswith(
        f"{name}: not deterministic: entity e: tags.made differs between two readings"
    )


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_defined_by_chance_is_refused(
    name: str, results: dict[str, Definitions | DefinitionsError]
) -> None:
    found = results[name]
    assert isinstance(found, DefinitionsError)
    assert "not deterministic: " in str(found)


@pytest.mark.parametrize("name", HIDDEN)
def test_the_environment_of_the_caller_is_hidden(
    name: str, results: dict[str, Definitions | DefinitionsError]
) -> None:
    found = results[name]
    assert isinstance(found, Definitions)
    assert found.of_kind("entity")["e"]["tags"] == {"made": "none"}


def test_every_kind_of_object_is_deterministic(
    results: dict[str, Definitions | DefinitionsError],
) -> None:
    found = results["every kind of object"]
    assert isinstance(found, Definitions), found
    assert {kind for kind, named in found.objects.items() if named} == {item.kind for item in found.protos}


def test_byte_code_is_never_executed(results: dict[str, Definitions | DefinitionsError]) -> None:
    found = results["byte code"]
    assert isinstance(found, Definitions), found
    assert found.of_kind("entity")["e"]["tags"] == {"made": "source"}


@pytest.mark.parametrize(
    ("input_file", "verdict"),
    [("data", Verdict.METADATA), ("comment", Verdict.METADATA), ("document", Verdict.NONE)],
)
def test_a_file_counts_or_does_not_exist(
    input_file: str, verdict: Verdict, results: dict[str, Definitions | DefinitionsError]
) -> None:
    one, two = (results[f"{input_file} {words}"] for words in ("one", "two"))
    assert isinstance(one, Definitions), one
    assert isinstance(two, Definitions), two
    assert compare(one, two).verdict is verdict


def test_no_scratch_folder_is_left(
    results: dict[str, Definitions | DefinitionsError], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setattr("tempfile.tempdir", str(tmp_path))
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "feature_store.yaml").write_text("project: [")
        with pytest.raises(DefinitionsError):
            try_load({"x": tmp_path / "x"})
    assert os.listdir(tmp_path) == ["x"]
