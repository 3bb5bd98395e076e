"""The page in Airflow: what steps tell it, how it is put together, and the app that serves it."""
