"""One finding of the doctor. Knows neither what is looked at nor how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended; only ``FAILED`` fails the command."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found, in one line, and what to do about it, empty if nothing is.

    ``figures`` are what a program may want to read: versions, and numbers with their unit in
    the name.
    """

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""
    figures: Mapping[str, str | float] = field(default_factory=dict)


def passed(name: str, text: str, **figures: str | float) -> Check:
    """All is well."""
    return Check(name, Verdict.OK, text, "", figures)


def warned(name: str, text: str, remedy: str, **figures: str | float) -> Check:
    """It runs, but not as well as it could."""
    return Check(name, Verdict.WARNING, text, remedy, figures)


def failed(name: str, text: str, remedy: str, **figures: str | float) -> Check:
    """It will not run."""
    return Check(name, Verdict.FAILED, text, remedy, figures)


def refused(name: str, error: Exception, remedy: str) -> Check:
    """An error of ours: it says what happened and, in the sentences after that, what to do."""
    text, _, advice = str(error).partition(". ")
    return failed(name, text.removesuffix("."), advice or remedy)
