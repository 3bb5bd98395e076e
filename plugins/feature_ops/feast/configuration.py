"""What feature_store.yaml says, read without Feast, whose import takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_ops.exceptions import BadInputError

_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)
_REMEDY = (
    "a file as registry is last-write-wins, so that two writers lose each other's work: "
    "set `registry: {registry_type: sql, path: ${FEAST_REGISTRY_URL}}`"
)


@dataclass(frozen=True)
class FeatureStoreConfiguration:
    """
    The part of a feature store's configuration that is needed before Feast is imported.

    :param project: Feast's project.
    :param registry_url: SQLAlchemy URL of the registry's database; it may hold a password.
    :param names_engine: whether it says which compute engine materializes.
    :param versions_online: whether each version of a view has rows of its own in the online store.
    """

    project: str
    registry_url: str
    names_engine: bool = False
    versions_online: bool = False

    @property
    def lock_name(self) -> str:
        """Name of the lock under which the project is applied and materialized."""
        return f"feast:{self.project}"


def configuration_file(feature_repo: Path) -> Path:
    """Return the path of a feature repository's configuration."""
    return feature_repo / "feature_store.yaml"


def read_configuration(feature_repo: Path, environment: Mapping[str, str]) -> FeatureStoreConfiguration:
    """
    Read a feature repository's configuration as Feast does: variables first, then YAML.

    :param environment: what fills the ``${...}``.
    :raises BadInputError: if a variable is not set, or if the registry is not in a database.
    """
    file = configuration_file(feature_repo)
    content = read_content(feature_repo, environment)
    if not isinstance(content, dict) or not content.get("project"):
        raise BadInputError(f"{file} names no project: add `project: <name>`")
    unset = sorted({name for text in texts_of(content) for name in _names(text)})
    if unset:
        raise BadInputError(
            f"{file} needs {', '.join(unset)}: set it in extra.environment of the Feast connection, "
            "or in the environment"
        )
    return FeatureStoreConfiguration(
        project=str(content["project"]),
        registry_url=_registry_url(file, content.get("registry")),
        names_engine="batch_engine" in content,
        versions_online=bool(content["registry"].get("enable_online_feature_view_versioning")),
    )


def read_content(feature_repo: Path, environment: Mapping[str, str]) -> Any:
    """
    Return the content of a feature repository's configuration with its variables filled in.

    :raises BadInputError: the file is missing, or is not YAML.
    """
    import yaml

    file = configuration_file(feature_repo)
    try:
        return yaml.safe_load(_expand(file.read_text(), environment))
    except FileNotFoundError:
        raise BadInputError(f"there is no {file}: set FEATURE_OPS_FEATURE_REPO to its folder") from None
    except yaml.YAMLError as error:
        # Without the error's own text, which shows the line with its secrets.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        raise BadInputError(
            f"{file}{where} is not YAML once its variables are filled in: correct it"
        ) from None


def _registry_url(file: Path, registry: Any) -> str:
    settings = registry if isinstance(registry, dict) else {}
    if settings.get("registry_type") != "sql" or "://" not in str(settings.get("path")):
        raise BadInputError(f"{file}: the registry must be in a database; {_REMEDY}")
    # Feast, too, takes a bare postgresql:// for its psycopg driver.
    return re.sub("^postgresql://", "postgresql+psycopg://", str(settings["path"]))


def _expand(text: str, environment: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: environment.get(found[1] or found[2], found[0]), text)


def _names(text: str) -> Iterator[str]:
    for found in _VARIABLE.finditer(text):
        # Without braces it may well be part of a password.
        if found[2]:
            yield found[2]


def texts_of(content: Any) -> Iterator[str]:
    """Yield all texts that a configuration holds as values, at any depth."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from texts_of(value)
    elif isinstance(content, list):
        for value in content:
            yield from texts_of(value)
