"""`[card]` of `task.toml`: what only people know of a task, its data and its use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LanguageCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
"""A language as BCP 47 has it: `en`, `hi`, `hi-Latn`."""


class _Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class DataSource(_Stated):
    """A source of a task's rows: `[[card.sources]]`."""

    name: str
    """The name of the source."""
    license: str = ""
    """Its licence, as an SPDX identifier where there is one: `CC-BY-4.0`."""
    url: str = ""
    """The address at which it is found, or the file that describes it."""
    languages: list[LanguageCode] = []
    """The languages of its texts: `["en"]`."""
    authors: str = ""
    """The people who wrote or collected it."""
    about: str = ""
    """The way in which its rows were collected and chosen, and the people who labelled them."""


class TaskCard(_Stated):
    """`[card]`: what only people know of a task, for the card that `promptkit card` writes."""

    summary: str = ""
    """The purpose of the task, in a sentence or two."""
    license: str = ""
    """The licence of what the card is about, as an SPDX identifier where there is one."""
    languages: list[LanguageCode] = []
    """The languages that it is made for; by default those of the sources."""
    authors: str = ""
    """The people who made it."""
    contact: str = ""
    """An address for questions and complaints."""
    intended_use: str = ""
    """The use that it was made for, and by whom."""
    not_for: str = ""
    """Uses that it is not fit for."""
    personal_data: str = ""
    """Personal or sensitive information in the rows; `none` where there is none."""
    limits: list[str] = Field(default=[])
    """Known limits, a sentence each."""
    sources: list[DataSource] = Field(default=[])
    """The sources of the rows."""
