"""In the place of Gitea: the demo's git server under its paths, with what a first start asks of its API."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

from demo.git_http import GitHttp

FOLDER = Path("/var/lib/gitea")
USER = FOLDER / "password-of-jukebox"
REPOSITORY = FOLDER / "jukebox.git"


def application(environ, start_response):
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    password = USER.read_text()

    def answer(status, body=b"{}"):
        start_response(status, [("Content-Type", "application/json")])
        return [body]

    if path == "/api/healthz":
        return answer("200 OK")
    if not path.startswith("/api/v1/"):
        environ["PATH_INFO"] = path.removeprefix("/jukebox") or "/"
        return GitHttp(FOLDER, f"jukebox:{password}")(environ, start_response)
    wanted = "Basic " + base64.b64encode(f"jukebox:{password}".encode()).decode()
    if environ.get("HTTP_AUTHORIZATION") != wanted:
        return answer("401 Unauthorized")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    match method, path:
        case "GET", "/api/v1/user":
            return answer("200 OK")
        case "PATCH", "/api/v1/admin/users/jukebox":
            USER.write_text(json.loads(body)["password"])
            return answer("200 OK")
        case "GET", "/api/v1/repos/jukebox/jukebox":
            return answer("200 OK" if REPOSITORY.exists() else "404 Not Found")
        case "POST", "/api/v1/user/repos":
            _git("-c", "init.defaultBranch=main", "init", "--quiet", "--bare", str(REPOSITORY))
            _git("-C", str(REPOSITORY), "config", "http.receivepack", "true")
            return answer("201 Created")
    return answer("404 Not Found")


def _git(*arguments):
    subprocess.run(["git", *arguments], check=True)
