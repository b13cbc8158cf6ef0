"""A TOML file of ``include`` whose fields are named in a model: what is unknown is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from feature_store.declarations.files.toml_file import read_toml
from feature_store.errors import BadInput
from feature_store.relation_name import Name
from feature_store.text_format import shown

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
"""A text with more than blanks in it."""


class Fields(BaseModel):
    """The fields of a table; no others may stand in it."""

    model_config = ConfigDict(extra="forbid", strict=True)


_Content = TypeVar("_Content", bound=BaseModel)
_Fields = TypeVar("_Fields")


# What pydantic calls a mistake, in our words.
_SAID = {
    "missing": "the field is missing",
    "extra_forbidden": "the field is unknown",
    "model_type": "expected a table of fields, as in the package's own file",
}
_OF_THE_FIELD = frozenset({"missing", "extra_forbidden"})


def read_fields(path: Path, model: type[_Content]) -> _Content:
    """Read a file.

    Args:
        path: the file.
        model: its fields.

    Raises:
        BadInput: it is missing or malformed; the message names the place.
    """
    return held_to(path, TypeAdapter(model), read_toml(path))


def held_to(path: Path, fields: TypeAdapter[_Fields], written: object) -> _Fields:
    """What a file says, held to the fields that are expected of it.

    Raises:
        BadInput: it is something else; the message names the place and what stands there.
    """
    try:
        return fields.validate_python(written)
    except ValidationError as error:
        first = error.errors()[0]
        # Entries are counted from 1 in messages.
        where = ", ".join(str(p + 1 if isinstance(p, int) else p) for p in first["loc"])
        said = _SAID.get(first["type"], first["msg"].removeprefix("Value error, "))
        # What is missing has no value of its own: pydantic shows all that stands around it.
        got = "" if first["type"] in _OF_THE_FIELD else f", got {shown(first['input'])}"
        raise BadInput(f"{path}: {where}: {said}{got}.") from None


def name_at(path: Path, where: str, text: str) -> Name:
    """A relation's name that stands at a place of a file.

    Raises:
        BadInput: it is no relation's name.
    """
    try:
        return Name.parse(text)
    except BadInput as error:
        raise BadInput(f"{path}: {where}: {error.problem}") from None


def only_once(path: Path, where: str, texts: Iterable[str]) -> None:
    """Refuse what stands twice at a place of a file.

    Raises:
        BadInput: something does.
    """
    seen: set[str] = set()
    for text in texts:
        if text in seen:
            raise BadInput(f"{path}: {where}: {text!r} is listed twice.")
        seen.add(text)
