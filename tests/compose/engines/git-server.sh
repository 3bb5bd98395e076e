#!/bin/sh
# In the place of Gitea: git's own HTTP server with one repository and one user.
set -eu
repository=/var/lib/gitea/jukebox.git
git -c init.defaultBranch=main init --quiet --bare "$repository"
git -C "$repository" config http.receivepack true
umask 077
printf 'jukebox:%s' "$GIT_PASSWORD" >/tmp/password
export GIT_SERVER_FOLDER=/var/lib/gitea GIT_SERVER_PASSWORD_FILE=/tmp/password PYTHONPATH=/project:/usr/local/bin
exec gunicorn --bind 0.0.0.0:3000 --worker-class gthread --threads 16 --no-control-socket git_server:application
