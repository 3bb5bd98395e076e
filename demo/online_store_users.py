"""Users of Valkey with least privilege: the feature store writes, trainings and model services read."""

from __future__ import annotations

import hashlib

WRITER, READER = "feast", "feast_reader"

_CONNECT = "+auth +hello +ping +quit +reset +client|setinfo +client|setname +client|id"
# Values by key only: no command that lists keys. Without `select` they stay in the first database.
_RIGHTS = {
    WRITER: (
        "~* resetchannels +@all -@admin -@dangerous -@pubsub -select -move -copy -function -cluster "
        f"-script|kill -script|flush {_CONNECT}"
    ),
    READER: f"~* resetchannels -@all +@read -@dangerous -scan -randomkey -dbsize {_CONNECT}",
}


def user_lines(passwords: dict[str, str]) -> list[str]:
    """
    Return the lines of valkey.conf that define the users.

    :param passwords: by user; the file gets their hashes.
    """
    return [
        f"user {name} reset on #{hashlib.sha256(passwords[name].encode()).hexdigest()} {rights}"
        for name, rights in _RIGHTS.items()
    ]
