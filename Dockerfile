# Airflow with this package, for every component and worker: docker build -t feature-ops .
FROM python:3.11-slim AS packages
WORKDIR /build
COPY requirements.txt .
RUN python -m venv /opt/airflow-venv \
    && /opt/airflow-venv/bin/pip install --no-cache-dir --requirement requirements.txt

# Trainings that are processes run in an environment of their own: the model's.
FROM python:3.11-slim AS training
WORKDIR /build
COPY model/requirements.txt .
RUN python -m venv /opt/training && /opt/training/bin/pip install --no-cache-dir --requirement requirements.txt

FROM python:3.11-slim
# git: the watched repository and DVC's pointers; openssh-client, gpg: signatures of commits. Debian keeps only
# the newest build of a version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git gpg openssh-client \
    && rm -rf /var/lib/apt/lists/*
# Packages and code belong to root: what runs can't change them. Logs are kept, all else goes to /tmp. Without a
# file of settings, if only an empty one, Airflow writes one at its start.
RUN useradd --uid 50000 --gid 0 --home-dir /tmp --no-create-home airflow \
    && install --directory --owner=50000 --mode=0770 /opt/airflow/logs \
    && touch /opt/airflow/airflow.cfg
COPY --from=packages /opt/airflow-venv /opt/airflow-venv
COPY --from=training /opt/training /opt/training
ENV PATH=/opt/airflow-venv/bin:$PATH \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/airflow/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/opt/airflow/logs \
    FEATURE_OPS_TRAINING_PYTHON=/opt/training/bin/python \
    PYTHONPATH=/opt/airflow/plugins \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FEAST_USAGE=False \
    DVC_NO_ANALYTICS=1 \
    SCARF_NO_ANALYTICS=true \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true
WORKDIR /opt/airflow
# What changes most often comes last.
COPY plugins plugins
COPY feature_repo feature_repo
COPY dags dags
USER 50000
ENTRYPOINT ["airflow"]
CMD ["version"]
