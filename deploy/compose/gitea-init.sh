# Gitea's database and its user jukebox. Its first password is random and left in a file, since an argument
# can be read by others; the job `prepare` changes it to the one of .env.
set -eu
first=/etc/gitea/first-password
gitea migrate
if [ ! -e "$first" ]; then
    # A start that was killed here has left a user whose password nobody knows.
    gitea admin user delete --username jukebox >/dev/null 2>&1 || true
    # Readable by the job `prepare`, which is another user, in a volume that few containers have.
    umask 022
    gitea admin user create --username jukebox --email jukebox@localhost --admin --random-password \
        --must-change-password=false | sed -n "s/^generated random password is '\(.*\)'$/\1/p" >"$first.new"
    test -s "$first.new"
    mv "$first.new" "$first"
fi
