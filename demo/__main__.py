"""`python -m demo up | reset | shell | story`: what the Makefile calls."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from demo.errors import DemoError

PROJECT = Path(__file__).resolve().parents[1]


def up(home: Path, load: bool) -> int:
    """Run the stack until Ctrl-C or SIGTERM; returns the exit code."""
    from demo.stack import Stack

    started = time.monotonic()
    stop_on_signals()
    stack = Stack(home, load=load)
    try:
        stack.start(lambda line: print(f"[{time.monotonic() - started:5.1f} s] {line}", flush=True))
    except KeyboardInterrupt:
        print("\nStopped before it was up; the next start goes on from here.")
        return 0
    try:
        print(welcome(stack, time.monotonic() - started), flush=True)
        while True:
            stack.check()
            time.sleep(1)
    except KeyboardInterrupt:
        return 0
    finally:
        print("\nStopping …", flush=True)
        stack.stop()
        print(f"Stopped. Everything is kept in {home}.", flush=True)


def stop_on_signals() -> None:
    """Let Ctrl-C, SIGTERM and SIGHUP raise ``KeyboardInterrupt``, once: the stop runs to its end."""
    # What was ignored at the start (nohup, a job in the background) stays so.
    wanted = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    ]

    def interrupt(*_: object) -> None:
        for number in wanted:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in wanted:
        signal.signal(number, interrupt)


def welcome(stack: object, seconds: float) -> str:
    """Return what a person needs to know once everything is up."""
    from demo.stack import Stack

    assert isinstance(stack, Stack)
    new_song = (stack.inbox / "new_song.parquet").as_uri()
    return f"""
Up in {seconds:.0f} s.

  Model     {stack.model_url("test")}   in test; in production: {stack.model_url("champion")}
  Airflow   {stack.airflow_url}   login {stack.admin_login}, password {stack.admin_password}
  Git       {stack.git_web_url}
  MLflow    {stack.mlflow_url}
  S3        {stack.servers.object_store.endpoint_url}   keys: see `make shell`, then `env | grep AWS_`

Try this next:
  1. Open {stack.airflow_url}/dags/song_properties_etl, press Trigger, and give it the Dataset URL
     {new_song}
  2. Change the features. In another terminal: `make shell`, then
     git clone $JUKEBOX_GIT_URL /tmp/jukebox && cd /tmp/jukebox
     comment out "loudness" in feature_repo/feature_service.py, commit and push; then look at
     {stack.airflow_url}/dags/continuous_training
  3. In another terminal: `make story` plays it all without hands, beside this one

Ctrl-C stops everything and keeps all state; `make demo-reset` removes the state."""


def reset(home: Path) -> int:
    """Remove all state; returns the exit code."""
    from demo.processes import Processes

    if home.exists():
        processes = Processes(home)
        processes.open()  # refuses while a stack runs there, ends what a killed one has left
        processes.close()
        shutil.rmtree(home)
    print(f"Removed {home}: the next `make demo` is a first start.")
    return 0


def shell(home: Path, command: list[str]) -> int:
    """Become a shell (or the command) with which feast, dvc and git find the running stack."""
    from demo.processes import is_running
    from demo.stack import environment_file

    if not is_running(home):
        raise DemoError("No stack is running: start one with `make demo` in another terminal.")
    environment = {**os.environ, **json.loads(environment_file(home).read_text())}
    if not command:
        print("feast, dvc, git and python find the demo from here; `exit` leaves.", flush=True)
        command = [os.environ.get("SHELL", "/bin/sh")]
    os.execvpe(command[0], command, environment)  # noqa: S606 - the user's own shell


def main() -> int:
    """Read the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="The embedded stack")
    parser.add_argument("--home", type=Path, default=PROJECT / ".demo", help="folder that keeps all state")
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up", help="start the stack and run it until Ctrl-C")
    up_parser.add_argument(
        "--no-load", action="store_true", help="leave the catalogue out at the first start"
    )
    commands.add_parser("reset", help="remove all state")
    shell_parser = commands.add_parser("shell", help="open a shell that finds the running stack")
    shell_parser.add_argument("arguments", nargs=argparse.REMAINDER, help="command to run instead")
    story_parser = commands.add_parser("story", help="play the story on a stack of its own")
    story_parser.add_argument("--base", type=Path, help="parquet file of songs that are there at first")
    story_parser.add_argument("--new", type=Path, help="parquet file with new songs")
    story_parser.add_argument("--song", help="id of the new song to follow")
    story_parser.add_argument(
        "--stack",
        choices=("own", "compose"),
        default="own",
        help="a stack of its own, or the one that `make up` has started",
    )
    arguments = parser.parse_args()
    home = arguments.home.resolve()
    try:
        if arguments.command == "story":
            from demo.story import play, play_on_containers

            if arguments.stack == "compose":
                return play_on_containers(arguments.new, arguments.song)
            return play(arguments.base, arguments.new, arguments.song)
        if arguments.command == "shell":
            return shell(home, arguments.arguments)
        return up(home, not arguments.no_load) if arguments.command == "up" else reset(home)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
