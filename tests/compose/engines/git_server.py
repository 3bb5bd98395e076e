"""The demo's git server under Gitea's paths, with as much of its API as the job `prepare` asks for."""

from __future__ import annotations

from demo.git_http import application as git


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/api/healthz" or path in ("/api/v1/user", "/api/v1/repos/jukebox/jukebox"):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]
    environ["PATH_INFO"] = path.removeprefix("/jukebox") or "/"
    return git(environ, start_response)
