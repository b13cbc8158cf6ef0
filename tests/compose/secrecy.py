"""Which secrets each of the stack's services may know, and which it does."""

from __future__ import annotations

from pathlib import Path

from .rendering import CONNECTIONS, SECRETS, Config, values

METADATA = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "METADATA_PASSWORD"}
QUEUE = {
    "AIRFLOW__CELERY__BROKER_URL": "REDIS_PASSWORD",
    "AIRFLOW__CELERY__RESULT_BACKEND": "REDIS_PASSWORD",
}
TASKS = {
    "AIRFLOW_CONN_FEATURE_STORE": "STORE_CONNECTION",
    "PGPASSWORD": "STORE_PASSWORD",
    "AIRFLOW_CONN_SMTP_DEFAULT": "SMTP_CONNECTION",
}
TOKENS = {"AIRFLOW__API_AUTH__JWT_SECRET": "AIRFLOW_JWT_SECRET"}
# Each service's variables that hold a secret. The tests fail for one that is not listed here.
WHO_KNOWS = {
    "airflow-init": {**METADATA, "AIRFLOW_ADMIN_PASSWORD": "AIRFLOW_ADMIN_PASSWORD"},
    "api-server": {
        **METADATA,
        **TOKENS,
        "AIRFLOW__CORE__FERNET_KEY": "AIRFLOW_FERNET_KEY",
        "AIRFLOW__API__SECRET_KEY": "AIRFLOW_SECRET_KEY",
        "AIRFLOW_CONN_FEATURE_STORE": "STORE_PAGE_CONNECTION",
        "PGPASSWORD": "STORE_PAGE_PASSWORD",
    },
    "scheduler": {**METADATA, **TOKENS, **TASKS},
    "dag-processor": METADATA,
    "triggerer": METADATA,
    "metadata": {"POSTGRES_PASSWORD": "METADATA_PASSWORD"},
    "store": {"POSTGRES_PASSWORD": "STORE_ADMIN_PASSWORD"},
    "store-logins": {
        "PGPASSWORD": "STORE_ADMIN_PASSWORD",
        "STORE_OWNER_PASSWORD": "STORE_OWNER_PASSWORD",
        "STORE_PASSWORD": "STORE_PASSWORD",
        "STORE_PAGE_PASSWORD": "STORE_PAGE_PASSWORD",
    },
    "store-init": {"PGPASSWORD": "STORE_OWNER_PASSWORD"},
    "store-roles": {"PGPASSWORD": "STORE_ADMIN_PASSWORD"},
    "mailpit": {},
    "worker": {**QUEUE, **TASKS},
    "redis": {"REDISCLI_AUTH": "REDIS_PASSWORD"},
}
# With workers the scheduler runs no task, so it needs nothing that only tasks need.
WHO_KNOWS_WITH_WORKERS = {**WHO_KNOWS, "scheduler": {**METADATA, **TOKENS, **QUEUE}}


def who_knows(env: Path, services: Config) -> dict[str, dict[str, str]]:
    """By service, each variable that holds a secret, and which; `other` is any other place."""
    known = values(env)
    secrets = {known[name]: name for name in (*SECRETS, *CONNECTIONS)}
    found: dict[str, dict[str, str]] = {}
    for service, config in services.items():
        environment = config.get("environment") or {}
        texts = {name: str(value) for name, value in environment.items()}
        texts["other"] = str({key: config[key] for key in config if key != "environment"})
        found[service] = {
            variable: name
            for variable, text in texts.items()
            for secret, name in secrets.items()
            if secret in text
        }
    return found
