"""
The sandbox of a feature store process: the stores' ports and files, and nothing of Airflow.

Such a process runs functions of the registry with the feature store's credentials. Its environment has no
others, but files have: Airflow's configuration, users' keys, and ``/proc`` of the process that started it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from feature_ops.feast.configuration import configuration_file, read_content, texts_of
from feature_ops.sandbox.confine import confine
from feature_ops.sandbox.features import Feature
from feature_ops.sandbox.profile import NETWORK_FILES, PYTHON_FILES, Limits, Profile
from feature_ops.training.store_ports import store_ports

_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
_CERTIFICATES = ("/etc/ssl/cert.pem", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted")
_SQLITE = "sqlite:///"
_DEFAULT_ONLINE_FILE = "data/online.db"
# An absolute path in a text, not the path of a URL.
_PATH = re.compile(r"(?<![\w:/%.\]-])/[^\s,;:&?'\"]+")
_FILES = 4096


def enter_store_sandbox(
    feature_repo: Path, environment: Mapping[str, str], required: Collection[str] = ()
) -> list[Feature]:
    """
    Sandbox this process, before it loads a function.

    :param feature_repo: folder of the feature_store.yaml that names the stores.
    :param environment: of this process.
    :param required: features of the sandbox without which nothing runs.
    :return: the features that this machine lacks.
    :raises SandboxError: a required feature is missing.
    """
    return confine(store_profile(feature_repo, environment), required=required)


def store_profile(feature_repo: Path, environment: Mapping[str, str]) -> Profile:
    """Return what a feature store process may use: Python, the stores' ports and files, a scratch folder."""
    content = read_content(feature_repo, environment)
    texts = [*texts_of(content), *environment.values()]
    return Profile(
        readable=(
            *PYTHON_FILES,
            *NETWORK_FILES,
            *map(Path, _CERTIFICATES),
            *_python_folders(),
            configuration_file(feature_repo),
            *(Path(environment[name]) for name in _CERTIFICATE_VARIABLES if environment.get(name)),
            *_named_files(texts),
        ),
        writable=(Path(environment["TMPDIR"]), *_sqlite_folders(content, feature_repo)),
        ports=tuple(sorted(store_ports(content, environment))),
        attributes="ignore",
        # SQLite shares an index of its log between processes.
        shared_memory=True,
        limits=Limits(threads=None, files=_FILES),
    )


def _python_folders() -> Iterator[Path]:
    for folder in dict.fromkeys([sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path]):
        if folder and Path(folder).parent != Path(folder):
            yield Path(folder)


def _named_files(texts: Iterable[str]) -> Iterator[Path]:
    """Yield files, such as certificates, that the configuration or a variable names."""
    for text in texts:
        for found in _PATH.findall(unquote(text)):
            if os.path.isfile(found):
                yield Path(found)


def _sqlite_folders(content: Any, feature_repo: Path) -> Iterator[Path]:
    """Yield the folders of SQLite databases, beside which SQLite makes further files."""
    if not isinstance(content, Mapping):
        return
    registry, online = content.get("registry"), content.get("online_store")
    if isinstance(registry, Mapping) and str(registry.get("path")).startswith(_SQLITE):
        yield Path(str(registry["path"]).removeprefix(_SQLITE)).absolute().parent
    if isinstance(online, Mapping) and online.get("type") == "sqlite":
        yield (feature_repo / str(online.get("path", _DEFAULT_ONLINE_FILE))).absolute().parent
