"""The *Feature store* page in Airflow: the status store, the view model and the app that serves both."""
