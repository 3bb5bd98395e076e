"""How git signs in to one server with a password that is in the environment, and nowhere else."""

from __future__ import annotations


def git_environment(server: str, login: str, password: str) -> dict[str, str]:
    """
    Return the variables with which git finds the password, for this server only.

    :param server: its address, without a path.
    """
    helper = f"credential.{server}.helper"
    return {
        "JUKEBOX_GIT_PASSWORD": password,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "2",
        # An empty helper first: it clears the user's own, which would store the password.
        "GIT_CONFIG_KEY_0": helper,
        "GIT_CONFIG_VALUE_0": "",
        "GIT_CONFIG_KEY_1": helper,
        "GIT_CONFIG_VALUE_1": (
            f'!f() {{ test "$1" = get && echo username={login} '
            '&& echo "password=$JUKEBOX_GIT_PASSWORD"; }; f'
        ),
    }
