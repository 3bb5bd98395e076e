# Airflow's API server; its only user's password is in a file that only this container has.
set -eu
umask 077
printf '{"admin": "%s"}' "$AIRFLOW_ADMIN_PASSWORD" >/tmp/passwords.json
unset AIRFLOW_ADMIN_PASSWORD
exec airflow api-server --host 0.0.0.0 --port 8080
