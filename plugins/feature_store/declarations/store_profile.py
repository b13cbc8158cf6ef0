"""A store's name and where it is: ``include/store.toml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from feature_store.declarations.files.toml_fields import held_to
from feature_store.declarations.files.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.relation_name import AUDIT_SCHEMA, LOG_SCHEMA, Name, is_column
from feature_store.text_format import fault

_SMALL = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DAG = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_THRESHOLD = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_$]{0,62})?")
_NOT_OURS = re.compile(rf"pg_.*|information_schema|{AUDIT_SCHEMA}|{LOG_SCHEMA}")


def _small(text: str) -> str:
    if not _SMALL.fullmatch(text):
        raise ValueError("expected lower-case letters, digits and _, a letter first, at most 40")
    return text


def _dag(text: str) -> str:
    if not _DAG.fullmatch(text):
        raise ValueError("expected letters, digits, _, - and ., at most 200")
    return text


def _schema(text: str) -> str:
    if _NOT_OURS.fullmatch(text):
        raise ValueError("expected a schema of the store's own")
    return _small(text)


def is_schema(text: str) -> bool:
    """Whether a schema of this name may be governed."""
    return bool(_SMALL.fullmatch(text)) and not _NOT_OURS.fullmatch(text)


def _threshold(text: str) -> str:
    if not _THRESHOLD.fullmatch(text):
        raise ValueError("expected the name of a threshold")
    return text


def _column(text: str) -> str:
    if text and not is_column(text):
        raise ValueError("expected a column's name")
    return text


def _prefix(text: str) -> str:
    if text.startswith("pg_"):
        raise ValueError("expected another beginning than pg_, which is the server's")
    return _small(text)


def _relation(text: str) -> str:
    try:
        return str(Name.parse(text))
    except BadInput as error:
        raise ValueError(error.problem.rstrip(".")) from None


def _words(text: str) -> str:
    if complaint := fault(text, most=80):
        raise ValueError(complaint)
    if not text.strip() or not text.isprintable():
        raise ValueError("expected words on one line")
    return text


Words = Annotated[str, AfterValidator(_words)]


class Newest(BaseModel):
    """How the age of the sources is known.

    Attributes:
        fact: the witness's fact that has the newest day of the sources.
        threshold: the number of ``thresholds.toml`` that says how many days old it may be before
            the page turns amber; empty: any age.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    fact: Words = "rows of the newest day"
    threshold: Annotated[str, AfterValidator(_threshold)] = ""


class StoreProfile(BaseModel):
    """What sets a store apart from others.

    Attributes:
        name: its name in the database, which has one store.
        title: what people call it.
        dag_id: its DAG.
        governed_schemas: where readers ask its functions. The first has the registry of feature
            sets, the others show it.
        role_prefix: what the names of its roles begin with. Roles belong to the server: two stores
            of one server that share none need two prefixes.
        for_readers: relations that readers may read, besides the read layers and the relations of
            the feature sets.
        key: the first column of sample rows; empty: none.
        newest: how the age of its sources is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, AfterValidator(_small)]
    title: Words
    dag_id: Annotated[str, AfterValidator(_dag)]
    governed_schemas: list[Annotated[str, AfterValidator(_schema)]] = Field(min_length=1)
    role_prefix: Annotated[str, AfterValidator(_prefix)]
    for_readers: list[Annotated[str, AfterValidator(_relation)]] = []
    key: Annotated[str, AfterValidator(_column)] = ""
    newest: Newest = Newest()

    @property
    def registry(self) -> str:
        """The schema whose tables hold all feature sets."""
        return self.governed_schemas[0]


def read_profile(include_dir: Path) -> StoreProfile:
    """Read ``store.toml``. All but the name may be left out.

    Raises:
        BadInput: it is missing or malformed, or names what cannot be a name.
    """
    path = include_dir / "store.toml"
    written = read_toml(path)
    name = written.get("name")
    if isinstance(name, str):
        usual = {
            "title": name,
            "dag_id": f"{name}_refresh",
            "governed_schemas": [name],
            "role_prefix": name,
        }
        written = {**usual, **written}
    profile = held_to(path, TypeAdapter(StoreProfile), written)
    schemas = profile.governed_schemas
    if len(set(schemas)) < len(schemas):
        raise BadInput(f"{path}: governed_schemas: a schema is listed twice, got {schemas!r}.")
    return profile
