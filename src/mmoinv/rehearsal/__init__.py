"""A rehearsal: all steps of a move, played on throw-away databases, while either side fails.

Knows how a game that is moved is built; what is rehearsed are the parts that it uses as they are.
"""

from mmoinv.rehearsal.result import RehearsalReport, Rehearsed, StepResult
from mmoinv.rehearsal.run import run_rehearsal
from mmoinv.rehearsal.settings import RehearsalSettings

__all__ = [
    "RehearsalReport",
    "RehearsalSettings",
    "Rehearsed",
    "StepResult",
    "run_rehearsal",
]
