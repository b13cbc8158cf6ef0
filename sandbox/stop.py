"""`make stop`: stop the embedded PostgreSQL."""

from __future__ import annotations

from sandbox.home import POSTGRES
from sandbox.server import stop_server

if __name__ == "__main__":
    print("PostgreSQL stopped." if stop_server(POSTGRES) else "PostgreSQL was not running.")
