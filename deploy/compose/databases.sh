# A database with a user of its own for each who needs one; PostgreSQL's image runs it at its first start.
set -eu
for name in airflow feast mlflow; do
    variable=$(printf '%s_DB_PASSWORD' "$name" | tr '[:lower:]' '[:upper:]')
    password=$(printenv "$variable")
    psql --quiet --set=ON_ERROR_STOP=1 --username=postgres <<SQL
CREATE USER $name PASSWORD '$password';
CREATE DATABASE $name OWNER $name;
REVOKE ALL ON DATABASE $name FROM PUBLIC;
SQL
done
