"""Feature definitions with code in every place that runs when they are loaded, and who ran it."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from demo.valkey import Valkey

_LIST = "planted"

# Imports all that it uses: it is an argument of exec in an expression.
_RECORD = """
try:
    print({text!r}, flush=True)
    import json, os, socket, sys
    ran = dict(plant={plant!r}, pid=os.getpid(), parent=os.getppid(), argv=sys.argv)
    ran["environment"] = sorted(os.environ)
    try:
        ran["parents_environment"] = bool(open("/proc/%d/environ" % os.getppid(), "rb").read())
    except OSError:
        ran["parents_environment"] = False
    with socket.create_connection(("127.0.0.1", {port}), 5) as online:
        text = json.dumps(ran).encode().hex()
        online.sendall(("AUTH {login}\\r\\nRPUSH {list} %s\\r\\nQUIT\\r\\n" % text).encode())
        while online.recv(4096):
            pass
except Exception:
    pass
"""

# An object that runs code when it is unpickled, and then is again such an object.
_PICKLED = """(
    exec({code!r}),
    type("Pickled", (), {{
        "__module__": "planted",
        "source": source,
        "__reduce__": lambda self: (eval, (self.source, {{"source": self.source}})),
    }})(),
)[1]"""

_VIEWS = """\
import pandas as pd
from feast import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64
from features import tracks

exec({module!r})


def decorated(function):
    exec({decorator!r})
    return function


@on_demand_feature_view(sources=[tracks], schema=[Field(name="twice", dtype=Float64)], mode="pandas")
def with_default(inputs, ran=exec({default!r})):
    import pandas as pd

    return pd.DataFrame({{"twice": inputs["energy"] * 2}})


@on_demand_feature_view(sources=[tracks], schema=[Field(name="thrice", dtype=Float64)], mode="pandas")
@decorated
def with_decorator(inputs):
    import pandas as pd

    return pd.DataFrame({{"thrice": inputs["energy"] * 3}})
"""

_PICKLED_VIEW = """\
from feast import Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64
from features import tracks

PICKLED = eval({reduce!r}, {{"source": {reduce!r}}})


# A name that its text alone does not define: Feast would unpickle the function.
@on_demand_feature_view(sources=[tracks], schema=[Field(name="half", dtype=Float64)], mode="pandas")
def with_reduce(inputs, ran=PICKLED):
    import pandas as pd

    return pd.DataFrame({{"half": inputs["energy"] / 2}})
"""

VIEWS = ("with_decorator", "with_default")


@dataclass(frozen=True)
class Ran:
    """One run of planted code: which, and in which process."""

    plant: str
    pid: int
    parent: int
    argv: list[str]
    environment: list[str]
    parents_environment: bool


class Planted:
    """
    Code that reports its process to a Valkey server, as any code with Feast's credentials can.

    :param text: what it prints.
    """

    def __init__(self, valkey: Valkey, text: str = "") -> None:
        self._text = text
        options = dict(part.split("=") for part in valkey.connection_string.split(",")[1:])
        self._login = f"{options['username']} {options['password']}"
        self._valkey = valkey

    def code(self, plant: str) -> str:
        """Return statements that report; they raise nothing, wherever they run."""
        return _RECORD.format(
            plant=plant, text=self._text, port=self._valkey.port, login=self._login, list=_LIST
        )

    def definitions(self) -> str:
        """Return a file of on-demand views of ``tracks``, with one plant in each place."""
        return _VIEWS.format(**{place: self.code(place) for place in ("module", "decorator", "default")})

    def pickled_definition(self) -> str:
        """Return a file of an on-demand view of ``tracks`` whose function is complete in its pickle only."""
        return _PICKLED_VIEW.format(reduce=_PICKLED.format(code=self.code("reduce")))

    def ran(self) -> list[Ran]:
        """Return what was reported since the last call, in that order."""
        found = []
        while (text := self._taken()) is not None:
            reported: dict[str, Any] = json.loads(bytes.fromhex(text))
            found.append(Ran(**reported))
        return found

    def _taken(self) -> str | None:
        lines = self._lines(f"LPOP {_LIST}")
        return None if lines[0] == "$-1" else lines[1]

    def _lines(self, command: str) -> list[str]:
        with socket.create_connection(("127.0.0.1", self._valkey.port), timeout=10) as connection:
            connection.sendall(f"AUTH {self._login}\r\n{command}\r\nQUIT\r\n".encode())
            # The first line answers AUTH.
            return connection.makefile("r").read().splitlines()[1:]
