"""
Ends a stack's processes when the stack itself was killed.

Reads one session a line from standard input. The stack holds the other end of that pipe, so its
end, whatever the cause, is the end of the input.
"""

from __future__ import annotations

import signal
import sys

from demo.sessions import Session, end_sessions


def main() -> None:
    """Wait for the stack's end, then end what it left."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sessions = [Session.from_json(line) for line in sys.stdin]
    end_sessions(sessions, grace=5)


if __name__ == "__main__":
    main()
