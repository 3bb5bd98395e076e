# Valkey that keeps every write on disk. The password comes by standard input, not as an argument.
set -eu
printf 'requirepass %s\n' "$VALKEY_PASSWORD" | exec valkey-server - --dir /data --appendonly yes --save ''
