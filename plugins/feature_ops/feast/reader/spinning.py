"""
Waiting for an answer that is about to come.

A thread that sleeps until its socket has data is woken later than the data comes: on virtual machines by
as long as a store on the same network takes for the whole answer. So the socket is asked again and again
for a moment, as is done for locks that are held for moments only (*adaptive spinning*); where answers turn
out to take longer, hardly ever.
"""

from __future__ import annotations

import os
import socket
from time import perf_counter
from typing import Any

# A store on the same machine or in the same rack answers sooner.
_PATIENCE_SECONDS = 100e-6
_MOST_SKIPPED = 1_024


class AdaptiveSpin:
    """
    Learns whether answers come soon enough to wait for them awake.

    One that did not come in time has the next wait be a sleep, the next such one the next two, and so on up
    to a thousand; one that came in time has it start anew. Threads may share it.
    """

    def __init__(self) -> None:
        self._skipped = self._to_skip = 0

    def data_came(self, parser: Any) -> bool:
        """
        Wait awake; whether data came and the parser has been fed with it.

        If not, the caller is to read as ever, which also tells what is wrong with the connection.

        :param parser: redis-py's on top of hiredis, connected.
        """
        if self._to_skip > 0:
            self._to_skip -= 1
            return False
        opened = parser._sock
        # Not one of TLS, which may have data before its socket has.
        if type(opened) is not socket.socket:
            return False
        read = _without_waiting(opened, parser._buffer)
        until = perf_counter() + _PATIENCE_SECONDS
        while perf_counter() < until:
            try:
                count = read()
            except BlockingIOError:
                continue
            except OSError:
                return False
            if not count:
                return False
            parser._reader.feed(parser._buffer, 0, count)
            self._skipped = 0
            return True
        self._skipped = min(2 * self._skipped or 1, _MOST_SKIPPED)
        self._to_skip = self._skipped
        return False


def _without_waiting(opened: socket.socket, buffer: bytearray) -> Any:
    """Return what reads into the buffer, and raises BlockingIOError if there is nothing to read."""
    if opened.gettimeout() is None:
        return lambda: opened.recv_into(buffer, 0, socket.MSG_DONTWAIT)
    # With a timeout Python waits before it reads, whatever the flags say; the socket itself does not wait.
    number, buffers = opened.fileno(), [buffer]
    return lambda: os.readv(number, buffers)
