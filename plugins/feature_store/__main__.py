"""``python -m feature_store``, and ``feature-store``: see `feature_store.cli.commands`."""

import sys


def run() -> int:
    """Run one command, where all that it takes is installed.

    Returns:
        The exit code.
    """
    try:
        # Here, so that what is missing is told in words.
        from feature_store.cli.commands import main
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "feature_store":
            raise
        print(
            f"Error: {error.name} is missing: the client alone is installed, with which models "
            "read.\nNext: Install the wheel with its extra, '….whl[airflow]' (docs/install.md).",
            file=sys.stderr,
        )
        return 2
    return main()


if __name__ == "__main__":
    sys.exit(run())
