"""What the database refuses, as errors for people: nothing was read, and nothing was changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from feature_store.errors import (
    BadInput,
    CannotConnect,
    ContractBroken,
    NotReady,
    StoreError,
    passes_on_its_own,
)

_OVER = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)
_ABSENT = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
)


class NotCertified(NotReady):
    """The rows that are there now were not proven by a whole run, or not yet."""


class CertificationTooOld(NotCertified):
    """The rows were proven, longer ago than was asked for."""


class TimedOut(StoreError):
    """Reading took longer than it was given."""


@contextmanager
def told_to_people(role: str) -> Iterator[None]:
    """Within it, what the database refuses is told to a person.

    Args:
        role: as whom the database is asked.

    Raises:
        NotCertified: or `CertificationTooOld`: train and predict on nothing now.
        ContractBroken: stamp, rows of the contract and live relation are not one.
        NotReady: there is no store, or the role may not read it.
        TimedOut: the server gave a statement up.
        CannotConnect: the connection was lost.
        StoreError: anything else that the server refused.
    """
    try:
        yield
    except psycopg.errors.RaiseException as error:
        raise _refusal(error) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotReady(
            f"{role} may not read all of it: {_words(error)}.",
            next_step="As the database's administrator run what `bin/feature-store grants` prints, "
            f"then GRANT feature_store_reader TO {role}, or whatever your reader is called.",
        ) from error
    except _ABSENT as error:
        raise NotReady(
            f"This database has no feature store that this client knows: {_words(error)}.",
            next_step="Look at the connection string; as the store's owner run "
            "`bin/feature-store apply`, then have run what `bin/feature-store grants` prints.",
        ) from error
    except _OVER as error:
        raise TimedOut(
            f"The database took too long: {_words(error)}.",
            next_step="Try again when no run is under way, or give a longer timeout.",
        ) from error
    except psycopg.Error as error:
        if passes_on_its_own(error):
            raise CannotConnect(
                f"The database went away: {_words(error)}", next_step="Try again."
            ) from error
        raise StoreError(f"The database refused: {_words(error)}") from error


@contextmanager
def bad_input(what: str) -> Iterator[None]:
    """Within it, what the server cannot read is the caller's mistake.

    Raises:
        BadInput: it was.
    """
    try:
        yield
    except psycopg.DataError as error:
        raise BadInput(f"{what} cannot be used: {_words(error)}.") from error


def _refusal(error: psycopg.Error) -> StoreError:
    words, hint = _words(error), error.diag.message_hint
    if words.startswith("NOT CERTIFIED"):
        return NotCertified(words, readers="nothing now, through this client.", next_step=hint)
    if words.startswith("CERTIFICATION TOO OLD"):
        return CertificationTooOld(
            words, readers="the same rows, with a longer max_age.", next_step=hint
        )
    if words.startswith("FEATURE CONTRACT DRIFT"):
        return ContractBroken(
            words,
            readers="nothing, until a person has looked.",
            next_step="Train on nothing; `bin/feature-store check-contract` tells more.",
        )
    return StoreError(words, next_step=hint)


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip()
