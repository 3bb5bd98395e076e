"""Who may send alerts: whoever has the token of an Airflow connection."""

from __future__ import annotations

import hmac


class NoTokenError(Exception):
    """Nobody can be let in, since no token is kept; the message says where it belongs."""


def may_enter(header: str | None, token: str) -> bool:
    """
    Whether a request's Authorization header carries the token; takes as long for any of the same length.

    :param header: ``Bearer …``, as the server read it; None if there is none.
    """
    scheme, _, sent = (header or "").partition(" ")
    # The server reads headers as Latin-1, whatever their bytes are.
    return scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode("latin-1"), token.encode())


def kept_token(conn_id: str) -> str:
    """
    Return the token that is kept as the connection's password.

    :raises NoTokenError: there is no such connection, or it has no password.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        password = Connection.get(conn_id).password
    except AirflowNotFoundException:
        raise NoTokenError(
            f"No alert is taken: create the connection {conn_id} with a token as its password."
        ) from None
    if not password:
        raise NoTokenError(f"No alert is taken: the connection {conn_id} has no password; put a token there.")
    return str(password)
