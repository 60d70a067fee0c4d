"""What the evidence of all worlds together says: figures by mode, divergences, who is behind.

Read once from the files, which may be written to meanwhile. Judges nothing.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmoinv.migration.comparison import CLASSES, DivergenceClass, KnownDifference, reason_known
from mmoinv.migration.evidence_file import read_together, unsigned
from mmoinv.migration.modes import MigrationMode, Side

US = 1_000_000
HOUR_S = 3600
WORST = 20
"""So many of the worst characters, and of those that are behind, are named."""


class Figures(NamedTuple):
    """What was counted in one mode over some hours."""

    commits: int
    at_commits: int
    """Comparisons after commits."""
    at_joins: int
    equal: int
    known: int
    """Comparisons in which only known differences were found."""
    by_class: Mapping[DivergenceClass, int]
    """The other comparisons, by the worst class in them."""
    missed: int
    made_up: int
    flips: int
    hours: int
    """Different hours in which something was compared."""

    @property
    def compared(self) -> int:
        """All comparisons."""
        return self.at_commits + self.at_joins

    @property
    def diverged(self) -> int:
        """Comparisons that showed more than what is known or was never kept."""
        return sum(
            times for kind, times in self.by_class.items() if kind is not DivergenceClass.NOT_KEPT
        )

    @property
    def followed(self) -> int:
        """Changes that the following side should have taken."""
        return max(self.commits, self.at_commits + self.missed)

    @property
    def missed_share(self) -> float | None:
        """Of these, those that it missed; None if there were none."""
        return self.missed / self.followed if self.followed else None

    def share(self, kind: DivergenceClass) -> float | None:
        """Of the comparisons, those of a class; None if there were none."""
        return self.by_class[kind] / self.compared if self.compared else None


class RecordedDivergence(NamedTuple):
    """A divergence as it is kept."""

    character_guid: int
    slot: int
    fields: tuple[str, ...]
    kind: DivergenceClass
    entry: int
    mode: str
    decider: str
    at: str
    known: str
    expected: Mapping[str, int] | None
    found: Mapping[str, int] | None
    first_us: int
    last_us: int
    times: int
    first_operations: Sequence[int]
    last_operations: Sequence[int]
    state: str
    """``open``; ``gone``: a later comparison of the character found everything equal; ``known``;
    ``never_kept``."""

    @property
    def is_open(self) -> bool:
        """Whether it stands in the way."""
        return self.state == "open"


class MissReason(NamedTuple):
    """Why changes were missed."""

    mode: str
    reason: str
    example: str
    character_guid: int
    first_us: int
    last_us: int
    times: int


class BehindCharacter(NamedTuple):
    """A character whose side missed something that is not made up for."""

    character_guid: int
    side: str
    since_us: int


class WorstCharacter(NamedTuple):
    """One with many divergences."""

    character_guid: int
    mode: str
    compared: int
    diverged: int
    missed: int


class SideUse(NamedTuple):
    """When a side was last used, and for whom."""

    last_us: int
    times: int
    character_guid: int


@dataclass(frozen=True)
class Findings:
    """Everything that the files say, as of when they were read."""

    paths: Sequence[Path]
    hours: Mapping[tuple[int, str, str], int]
    """By hour since 1970, mode and figure."""
    divergences: Sequence[RecordedDivergence]
    """The worst class first, in it the last seen first."""
    reasons: Sequence[MissReason]
    uses: Mapping[str, SideUse]
    characters: Mapping[str, int]
    """How many there are by the mode they were last in."""
    behind_counts: Mapping[str, int]
    """Characters that are behind, by the side that is."""
    behind: Sequence[BehindCharacter]
    """Some of them, the longest behind first."""
    worst: Sequence[WorstCharacter]

    def figures(self, mode: MigrationMode, since_s: float = 0.0) -> Figures:
        """What was counted in a mode, from the hour of ``since_s`` (seconds since 1970) on."""
        counts: Counter[str] = Counter()
        hours = set()
        for (hour, of_mode, figure), times in self.hours.items():
            if of_mode == mode and hour >= since_s // HOUR_S:
                counts[figure] += times
                if figure.startswith("compared:"):
                    hours.add(hour)
        return Figures(
            commits=counts["commits"],
            at_commits=counts["compared:commit"],
            at_joins=counts["compared:join"],
            equal=counts["equal"],
            known=counts["known"],
            by_class={kind: counts[kind] for kind in CLASSES},
            missed=counts["missed"],
            made_up=counts["made_up"],
            flips=counts["flips"],
            hours=len(hours),
        )

    def unrecorded(self, since_s: float = 0.0) -> int:
        """What could not be kept as evidence."""
        return self._of_all_modes("unrecorded", since_s)

    def failed_writes(self, since_s: float = 0.0) -> int:
        """How often the evidence could not be written, and was tried again."""
        return self._of_all_modes("write_failed", since_s)

    def _of_all_modes(self, wanted: str, since_s: float) -> int:
        return sum(
            times
            for (hour, _, figure), times in self.hours.items()
            if figure == wanted and hour >= since_s // HOUR_S
        )

    @property
    def behind_count(self) -> int:
        """Characters that are behind, on either side."""
        return sum(self.behind_counts.values())

    def open_divergences(self, mode: MigrationMode | None = None) -> list[RecordedDivergence]:
        """Those that are still there, as far as anybody looked; last seen in a mode, or in any."""
        return [one for one in self.divergences if one.is_open and mode in (None, one.mode)]

    @property
    def first_hour_s(self) -> int | None:
        """When the evidence begins, None if there is none."""
        return min((hour for hour, _, _ in self.hours), default=0) * HOUR_S or None

    @property
    def last_hour_s(self) -> int | None:
        """The last hour in which anything happened."""
        return max((hour for hour, _, _ in self.hours), default=0) * HOUR_S or None


def read_findings(paths: Sequence[str | Path], known: Sequence[KnownDifference] = ()) -> Findings:
    """Read the files of all worlds. A divergence that ``known`` covers counts as known, whatever
    was declared when it was seen. `ConfigurationError` if one is no evidence."""
    with closing(read_together(paths)) as together:

        def rows(statement: str) -> list[Any]:
            return together.execute(statement).fetchall()

        behind = rows(
            "SELECT character, side, since_us FROM ("
            "SELECT character, 'new' AS side, missed_new_us AS since_us FROM character"
            " WHERE mode = 'shadow' AND missed_new_us > max(made_up_new_us, equal_us)"
            " UNION ALL SELECT character, 'legacy', missed_legacy_us FROM character"
            " WHERE mode = 'primary' AND missed_legacy_us > max(made_up_legacy_us, equal_us)"
            ") ORDER BY since_us"
        )
        divergences = [
            _divergence(row, known)
            for row in rows(
                "SELECT divergence.*, max(equal_us, CASE decider WHEN 'new' THEN made_up_legacy_us"
                " ELSE made_up_new_us END) FROM divergence"
                " LEFT JOIN character USING (character) ORDER BY last_us DESC"
            )
        ]
        return Findings(
            paths=[Path(path) for path in paths],
            hours={
                (hour, mode, figure): times
                for hour, mode, figure, times in rows("SELECT * FROM hour ORDER BY hour")
            },
            divergences=sorted(divergences, key=lambda one: CLASSES.index(one.kind)),
            reasons=[
                MissReason(mode, reason, example, unsigned(guid), *times)
                for mode, reason, example, guid, *times in rows(
                    "SELECT * FROM reason ORDER BY times DESC, last_us DESC"
                )
            ],
            uses={
                side: SideUse(last_us, times, unsigned(guid))
                for side, guid, last_us, times in rows("SELECT * FROM side")
            },
            characters=dict(rows("SELECT mode, count(*) FROM character GROUP BY mode")),
            behind_counts=Counter(side for _, side, _ in behind),
            behind=[BehindCharacter(unsigned(one[0]), *one[1:]) for one in behind[:WORST]],
            worst=[
                WorstCharacter(unsigned(guid), *figures)
                for guid, *figures in rows(
                    "SELECT character, mode, compared, diverged, missed FROM character"
                    " WHERE diverged + missed > 0 ORDER BY diverged DESC, missed DESC"
                    f" LIMIT {WORST}"
                )
            ],
        )


def _divergence(row: Sequence[Any], known: Sequence[KnownDifference]) -> RecordedDivergence:
    guid, fields, kind = unsigned(row[0]), tuple(row[2].split()), DivergenceClass(row[3])
    reason = row[8] or reason_known(known, guid, kind, fields, row[4])
    if reason:
        state = "known"
    elif kind is DivergenceClass.NOT_KEPT:
        state = "never_kept"
    else:
        state = "open" if row[12] > (row[16] or 0) else "gone"
    return RecordedDivergence(
        *(guid, row[1], fields, kind, row[4], row[5], row[6], row[7], reason),
        *(json.loads(row[9]), json.loads(row[10]), row[11], row[12], row[13]),
        *(json.loads(row[14]), json.loads(row[15])),
        state=state,
    )


def last_use_s(findings: Findings, side: Side) -> float | None:
    """When a side was last used, in seconds since 1970; None: never."""
    use = findings.uses.get(side)
    return None if use is None else use.last_us / US
