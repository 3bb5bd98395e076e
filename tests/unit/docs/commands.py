"""
Which test runs each command of the documentation: the one place where that is written.

A command that is not in here has to be marked on its page: ``Not run by the tests: <why>`` before its block.
"""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """
    Who runs a command.

    :param test: ``file::function``, or a file that runs it at each change.
    :param shows: what of the command stands in the test's source.
    """

    test: str
    shows: str


# Names of what programs do, which a page talks about and asks nobody to type.
TALKED_OF = {"dvc init", "feast plan", "feast serve", "git http-backend", "git verify-commit", "python -O"}

_DEMO = "tests/e2e/test_make_demo.py::test_make_demo_make_shell_git_clone_and_make_demo_reset"
_AIRFLOW = "tests/integration/demo/test_airflow_commands.py::"
_BACKUP = "tests/integration/etl/test_backup_and_restore.py::"
_ALL = f"{_BACKUP}test_everything_is_restored_from_a_backup_by_the_pages_commands"
_CHEAP = "tests/unit/docs/test_commands.py::test_a_cheap_command_does_as_it_stands_there"
_SBOM = (
    "tests/unit/deploy/test_bill_of_materials.py::test_make_sbom_writes_a_file_for_the_wheel_and_each_image"
)
_KEYS = "tests/unit/test_model_signature.py::test_the_page_s_commands_make_keys_that_sign_and_verify"
_DIFF = "tests/integration/feast/diff/test_command.py::test_the_page_shows_what_the_command_prints"

# Pages that a test follows from their first command to their last.
WHOLE = {
    "docs/your-own-feature-store.md": Run(
        "tests/integration/your_own/test_guide.py::test_the_page_leads_from_feast_init_to_both_dags", "GUIDE"
    ),
}

# By the whole command, or by its beginning and "…".
RUN = {
    "make demo": Run(_DEMO, "make demo"),
    "make shell": Run(_DEMO, "make shell"),
    "make demo-reset": Run(_DEMO, "make demo-reset"),
    "git clone $JUKEBOX_GIT_URL /tmp/jukebox": Run(_DEMO, "git clone $JUKEBOX_GIT_URL"),
    "make story": Run("tests/e2e/test_story.py::test_story", "make story"),
    "make story BASE=…": Run(
        "tests/integration/demo/test_story_arguments.py::"
        "test_make_story_takes_ones_own_files_and_says_early_what_does_not_fit",
        "make story BASE=",
    ),
    "make test": Run(".ci/run", "make test"),
    "make sbom": Run(_SBOM, '"sbom"'),
    "make sbom OFFLINE=1": Run(_SBOM, "OFFLINE=1"),
    "openssl ec…": Run(_KEYS, '"security.md"'),
    "chmod 600 model-signing.pem": Run(_KEYS, '"security.md"'),
    "feature-ops verify-model …": Run(
        "tests/unit/test_model_signature.py::test_the_command_prints_what_made_the_model", "verify-model"
    ),
    "python -m feature_ops.feast.diff OLD NEW --allowed-signers FILE": Run(
        "tests/unit/feast/diff/test_command.py::test_the_command_refuses_an_unsigned_commit_and_loads_nothing",
        "--allowed-signers",
    ),
    "make lint": Run(".ci/run", "make lint"),
    "make fuzz": Run(
        "tests/integration/history/test_model_of_history.py::"
        "test_every_sequence_of_runs_leaves_what_the_model_says",
        "make fuzz",
    ),
    "python -m feature_ops.sandbox": Run(
        "tests/unit/sandbox/test_profiles.py::test_the_check_prints_what_this_machine_lacks",
        '"feature_ops.sandbox"',
    ),
    "PYTHONPATH=model python -m jukebox train --help": Run(_CHEAP, "-m jukebox"),
    "PYTHONPATH=model:plugins python -m jukebox serve --help": Run(_CHEAP, "-m jukebox"),
    ".venv/bin/python -m feature_ops.feast.diff HEAD~1 HEAD": Run(_DIFF, '"HEAD~1", "HEAD"'),
    "airflow db migrate": Run(
        f"{_AIRFLOW}test_the_commands_of_upgrade_may_be_run_where_nothing_is_to_be_upgraded",
        '"airflow db migrate"',
    ),
    "mlflow db upgrade …": Run(
        f"{_AIRFLOW}test_the_commands_of_upgrade_may_be_run_where_nothing_is_to_be_upgraded",
        '"airflow db migrate"',
    ),
    "airflow pools set feature_store 1 …": Run(
        f"{_AIRFLOW}test_after_the_commands_of_install_the_dags_and_the_pool_are_there", "install"
    ),
    "airflow dags …": Run(
        f"{_AIRFLOW}test_after_the_commands_of_install_the_dags_and_the_pool_are_there", "install"
    ),
    "NEW_KEY=$(python…": Run(f"{_AIRFLOW}test_a_connection_can_be_read_with_the_new_key_alone", '"NEW_KEY"'),
    "airflow rotate-fernet-key": Run(
        f"{_AIRFLOW}test_a_connection_can_be_read_with_the_new_key_alone", '"NEW_KEY"'
    ),
    'printf "ALTER USER feast PASSWORD …': Run(
        f"{_BACKUP}test_a_database_password_is_changed_by_the_pages_command", '"ALTER USER"'
    ),
    'mkdir -p "$BACKUP"': Run(_ALL, "BACK_UP"),
    'git clone --quiet --mirror "$GIT_URL" …': Run(_ALL, "BACK_UP"),
    "for database in $DATABASES; do pg_dump …": Run(_ALL, "BACK_UP"),
    "for database in $DATABASES; do dropdb …": Run(_ALL, "RESTORE"),
    'git -C "$BACKUP/jukebox.git" push …': Run(_ALL, "RESTORE"),
    # In sentences only.
    "feast init": Run(
        "tests/integration/your_own/test_guide.py::test_the_page_leads_from_feast_init_to_both_dags", "GUIDE"
    ),
    "dvc pull": Run(
        "tests/integration/dvc/test_version_and_upload.py::"
        "test_a5_any_version_can_be_pulled_by_a_person_with_a_clone",
        "dvc_pull(folder, store)",
    ),
    "dvc push": Run(f"{_BACKUP}test_a_lost_dvc_remote_is_filled_from_a_clone", "dvc push"),
    "feast apply": Run(
        "tests/integration/feast/test_backfill.py::test_the_next_run_of_the_etl_backfills_what_nobody_has",
        "feast apply",
    ),
    "feast materialize": Run(
        "tests/integration/feast/test_materialize.py::"
        "test_a_persons_own_materialize_in_between_loses_nothing",
        ".materialize",
    ),
    "promtool test rules rules.test.yml": Run(
        "tests/unit/test_prometheus_rules.py::test_promtool_finds_the_rules_right", '"test", "rules"'
    ),
    "airflow pools list": Run(
        f"{_AIRFLOW}test_after_the_commands_of_install_the_dags_and_the_pool_are_there", "airflow pools list"
    ),
}


def run_of(page: str, command: str) -> Run | None:
    """Return who runs a page's command; None if nobody does."""
    if page in WHOLE:
        return WHOLE[page]
    for key, run in RUN.items():
        beginning = key.removesuffix("…")
        if command == key or (key != beginning and f"{command} ".startswith(beginning)):
            return run
    return None
