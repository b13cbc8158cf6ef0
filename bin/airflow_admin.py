"""Creates Airflow's account ``admin``; if there is one, it and its password stay as they are.

The password comes in AIRFLOW_ADMIN_PASSWORD: an argument would show in the process list.
"""

from __future__ import annotations

import os

NAME = "admin"


def main() -> None:
    """Create the account.

    Raises:
        SystemExit: Airflow refused it, and logged why.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        accounts = builder.sm
        if accounts.find_user(NAME):
            print(f"The account {NAME} is there already.")
            return
        role = accounts.find_role("Admin")
        password = os.environ["AIRFLOW_ADMIN_PASSWORD"]
        if not accounts.add_user(NAME, "Airflow", "Admin", "admin@localhost", role, password):
            raise SystemExit(f"The account {NAME} was not created.")
        print(f"Created the account {NAME}.")


if __name__ == "__main__":
    main()
