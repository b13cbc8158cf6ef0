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
    """The rows were proven, but longer ago than allowed."""


class TimedOut(StoreError):
    """Reading took longer than allowed."""


@contextmanager
def told_to_people(role: str) -> Iterator[None]:
    """Turn what the database refuses within it into errors for people.

    Args:
        role: the role that reads.

    Raises:
        NotCertified: or `CertificationTooOld`: do not train or predict now.
        ContractBroken: stamp, contract rows and live relation do not agree.
        NotReady: there is no store, or the role may not read it.
        TimedOut: the server cancelled a statement.
        CannotConnect: the connection was lost.
        StoreError: anything else that the server refused.
    """
    try:
        yield
    except psycopg.errors.RaiseException as error:
        raise _refusal(error) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotReady(
            f"{role} may not read everything it asked for: {_words(error)}.",
            next_step="As the database's administrator run the SQL of `bin/feature-store grants`. "
            f"If {role} is not the reader that it names, GRANT that role TO {role}.",
        ) from error
    except _ABSENT as error:
        raise NotReady(
            f"This database has no feature store that this client knows: {_words(error)}.",
            next_step="Check the connection string; as the store's owner run "
            "`bin/feature-store apply`, then run the SQL of `bin/feature-store grants`.",
        ) from error
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise NotCertified(
            f"No run has filled the store yet: {_words(error)}.",
            next_step="Wait for the first run of its DAG to certify it.",
        ) from error
    except _OVER as error:
        raise TimedOut(
            f"The database took too long: {_words(error)}.",
            next_step="Try again when no run is going on, or give a longer timeout.",
        ) from error
    except psycopg.Error as error:
        if passes_on_its_own(error):
            raise CannotConnect(
                f"The database went away: {_words(error)}", next_step="Try again."
            ) from error
        raise StoreError(f"The database refused: {_words(error)}") from error


@contextmanager
def bad_input(what: str) -> Iterator[None]:
    """Turn what cannot be sent or read within it into `BadInput`: the caller's mistake.

    Raises:
        BadInput: it was.
    """
    try:
        yield
    except psycopg.DataError as error:
        raise BadInput(f"{what} cannot be used: {_words(error)}.") from error
    except UnicodeEncodeError as error:
        raise BadInput(f"{what} cannot be used: it is not UTF-8, {error.reason}.") from error


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
            readers="nothing, until a person has checked it.",
            next_step="Do not train; `bin/feature-store check-contract` shows what differs.",
        )
    return StoreError(words, next_step=hint)


def _words(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error).strip()
