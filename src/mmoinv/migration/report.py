"""What the evidence says, for people: a short table, a whole report, and the same as JSON.

Everything that is shown is made from the JSON's values, so that a script sees what a person does.
Knows no terminal and no plots; the page with them is in `mmoinv.migration.report_page`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mmoinv.migration.comparison import MONEY, DivergenceClass
from mmoinv.migration.configuration import MigrationConfig
from mmoinv.migration.findings import HOUR_S, US, Figures, Findings, RecordedDivergence
from mmoinv.migration.modes import MigrationMode
from mmoinv.migration.verdict import Step, Verdict, judge, percent

EXAMPLES = 20
"""So many divergences are shown in full, of each class at least one."""
PATTERNS = 20
FOLLOWED = (MigrationMode.SHADOW, MigrationMode.PRIMARY)

Values = Mapping[str, Any]
"""A report as JSON holds it."""


# Values


def report_values(
    findings: Findings, config: MigrationConfig, now_s: float, since_s: float = 0.0
) -> dict[str, Any]:
    """The whole report as plain values; figures by mode from the hour of ``since_s`` on. The
    verdicts look back as far as their thresholds say, whatever ``since_s`` is."""
    seen = [one for one in findings.divergences if one.last_us >= since_s * US]
    return {
        "evidence": [str(path) for path in findings.paths],
        "read_at_s": int(now_s),
        "since_s": int(since_s),
        "first_hour_s": findings.first_hour_s,
        "last_hour_s": findings.last_hour_s,
        "characters": {mode: findings.characters.get(mode, 0) for mode in MigrationMode},
        "modes": {
            str(mode): _figures_values(findings.figures(mode, since_s)) for mode in MigrationMode
        },
        "divergences": {
            state: sum(one.state == state for one in seen)
            for state in ("open", "gone", "known", "never_kept")
        },
        "patterns": _patterns(seen),
        "examples": [_divergence_values(one) for one in _examples(seen)],
        "worst": [one._asdict() for one in findings.worst],
        "behind": {
            "count": findings.behind_count,
            "characters": [one._asdict() for one in findings.behind],
        },
        "reasons": [one._asdict() for one in findings.reasons],
        "uses": {side: use._asdict() for side, use in findings.uses.items()},
        "unrecorded": findings.unrecorded(since_s),
        "failed_writes": findings.failed_writes(since_s),
        "verdicts": {
            str(step): _verdict_values(judge(findings, config, step, now_s)) for step in Step
        },
        "by_hour": _by_hour(findings, since_s),
    }


def _figures_values(figures: Figures) -> dict[str, Any]:
    return {
        **figures._asdict(),
        "by_class": {str(kind): times for kind, times in figures.by_class.items()},
        "compared": figures.compared,
        "diverged": figures.diverged,
        "followed": figures.followed,
        "missed_share": figures.missed_share,
        "diverged_share": figures.diverged / figures.compared if figures.compared else None,
    }


def _verdict_values(verdict: Verdict) -> dict[str, Any]:
    return {
        "way": verdict.step.way,
        "mode": str(verdict.step.mode),
        "compared": verdict.figures.compared,
        "is_safe": verdict.is_safe,
        "over_last_h": verdict.thresholds.over_last_h,
        "requirements": [one._asdict() for one in verdict.requirements],
    }


def _divergence_values(one: RecordedDivergence) -> dict[str, Any]:
    return {**one._asdict(), "kind": str(one.kind), "fields": list(one.fields)}


def _patterns(seen: Sequence[RecordedDivergence]) -> list[dict[str, Any]]:
    """Divergences that look the same, the most frequent first: a bug shows as one of them."""
    groups: dict[tuple[str, tuple[str, ...], str], list[RecordedDivergence]] = defaultdict(list)
    for one in seen:
        groups[str(one.kind), one.fields, one.known].append(one)
    patterns: list[dict[str, Any]] = [
        {
            "kind": kind,
            "fields": list(fields),
            "known": known,
            "divergences": len(group),
            "open": sum(one.is_open for one in group),
            "state": group[0].state if len({one.state for one in group}) == 1 else "",
            "characters": len({one.character_guid for one in group}),
            "times": sum(one.times for one in group),
            "entries": sorted({one.entry for one in group})[:5],
            "first_us": min(one.first_us for one in group),
            "last_us": max(one.last_us for one in group),
        }
        for (kind, fields, known), group in groups.items()
    ]
    harmless = ("known", "never_kept")
    patterns.sort(key=lambda one: (one["state"] in harmless, -one["divergences"]))
    return patterns[:PATTERNS]


def _examples(seen: Sequence[RecordedDivergence]) -> list[RecordedDivergence]:
    """Of each pattern the last one, then more of the worst; what is open goes before the rest."""
    states = ("open", "gone", "never_kept", "known")
    ordered = sorted(seen, key=lambda one: states.index(one.state))
    first: dict[Any, RecordedDivergence] = {}
    for one in ordered:
        first.setdefault((one.kind, one.fields, one.known), one)
    chosen = list(first.values())[:EXAMPLES]
    chosen += [one for one in ordered if one not in chosen][: EXAMPLES - len(chosen)]
    return chosen


def _by_hour(findings: Findings, since_s: float) -> list[dict[str, Any]]:
    """One entry an hour and followed mode in which anything happened, and the uses of the sides."""
    hours: dict[tuple[int, str], dict[str, int]] = defaultdict(dict)
    for (hour, mode, figure), times in findings.hours.items():
        if hour >= since_s // HOUR_S:
            hours[hour, mode][figure] = times
    return [
        {"hour_s": hour * HOUR_S, "mode": mode, "figures": figures}
        for (hour, mode), figures in sorted(hours.items())
    ]


# Lines


def status_lines(values: Values) -> Iterator[str]:
    """The short table."""
    first, last = values["first_hour_s"], values["last_hour_s"]
    files = len(values["evidence"])
    span = f"{moment(first)} to {moment(last + HOUR_S - 1)} UTC" if first else "nothing in it yet"
    yield f"{files} file{'s' if files != 1 else ''} of evidence, {span}"
    yield "characters: " + ", ".join(
        f"{count:,} {mode}" for mode, count in values["characters"].items()
    )
    yield ""
    yield from _table(
        (
            *("mode", "commits", "compared", "equal", "known", "not kept"),
            *("diverged", "missed", "made up"),
        ),
        [
            (mode, *shown_figures(figures))
            for mode, figures in values["modes"].items()
            if mode in FOLLOWED or figures["commits"]
        ],
    )
    yield ""
    counts = values["divergences"]
    yield (
        f"divergences: {counts['open']:,} open, {counts['gone']:,} gone, "
        f"{counts['known']:,} known, {counts['never_kept']:,} never kept; "
        f"characters behind: {values['behind']['count']:,}"
    )
    for mode, figures in values["modes"].items():
        rates = [
            f"{kind} {percent(times / figures['compared'])}"
            for kind, times in figures["by_class"].items()
            if times
        ]
        if rates:
            yield f"of the comparisons in {mode}: {', '.join(rates)}"
    if worst := values["worst"][:3]:
        yield "worst characters: " + ", ".join(
            f"{one['character_guid']} ({one['diverged']:,} of {one['compared']:,} diverged, "
            f"{one['missed']:,} missed)"
            for one in worst
        )
    if values["unrecorded"]:
        yield f"NOT RECORDED: {values['unrecorded']:,} comparisons or divergences"
    if values["failed_writes"]:
        yield (
            f"the evidence could not be written {values['failed_writes']:,} times (a full disk?); "
            "it was kept in memory until that worked"
        )
    for side, use in values["uses"].items():
        ago_h = max(0.0, values["read_at_s"] - use["last_us"] / US) / HOUR_S
        yield f"the {side} side was last used {moment(use['last_us'] // US)} ({ago_h:.1f} h ago)"
    for verdict in values["verdicts"].values():
        yield ""
        yield from _verdict_lines(verdict, is_short=True)


def shown_figures(figures: Values) -> list[str]:
    """The figures of a mode for a table: commits, compared, equal, known, not kept, diverged,
    missed, made up."""
    names = ("commits", "compared", "equal", "known")
    not_kept = figures["by_class"][DivergenceClass.NOT_KEPT]
    shares = [
        f"{figures[name]:,}"
        + (f" ({percent(share)})" if (share := figures[f"{name}_share"]) else "")
        for name in ("diverged", "missed")
    ]
    made_up = f"{figures['made_up']:,}"
    return [*(f"{figures[name]:,}" for name in names), f"{not_kept:,}", *shares, made_up]


def report_lines(values: Values) -> Iterator[str]:
    """The whole report."""
    yield from status_lines({**values, "verdicts": {}})
    yield from _section("Comparisons that were not equal, by class", _class_table(values), "none")
    yield from _section("What differs", pattern_table(values), "nothing differs")
    yield from _section("Worst characters", worst_table(values), "none")
    yield from _section("Why changes were missed", reason_table(values), "nothing was missed")
    if values["behind"]["characters"]:
        behind = values["behind"]
        named = ", ".join(
            f"{one['character_guid']} ({one['side']}, since {moment(one['since_us'] // US)})"
            for one in behind["characters"]
        )
        more = behind["count"] - len(behind["characters"])
        yield ""
        yield f"Behind: {named}" + (f" and {more:,} more" if more > 0 else "")
    if values["examples"]:
        yield ""
        yield "Examples"
        for one in values["examples"]:
            for line in example_lines(one):
                yield f"  {line}"
    for verdict in values["verdicts"].values():
        yield ""
        yield from _verdict_lines(verdict, is_short=False)


def _section(title: str, table: Any, otherwise: str) -> Iterator[str]:
    headings, rows = table
    yield ""
    yield title
    if not rows:
        yield f"  {otherwise}"
        return
    for line in _table(headings, rows):
        yield f"  {line}"


def _verdict_lines(verdict: Values, is_short: bool) -> Iterator[str]:
    missing = [one for one in verdict["requirements"] if not one["is_met"]]
    span = f"the last {verdict['over_last_h']:g} hours"
    if not verdict["compared"]:
        yield f"{verdict['way']}: NOT YET, nothing was compared in {verdict['mode']} in {span}"
        return
    if not missing:
        yield f"{verdict['way']}: safe to go on, by {span}"
    else:
        yield f"{verdict['way']}: NOT YET, by {span}"
    if shown := missing if is_short else verdict["requirements"]:
        for line in _table(
            ("", "has", "wants", "missing"),
            [(one["title"], one["has"], one["wants"], one["missing"]) for one in shown],
        ):
            yield f"  {line}"


# Tables, also the page's


Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def _class_table(values: Values) -> Table:
    rows = [
        (mode, kind, f"{times:,}", percent(times / figures["compared"]))
        for mode, figures in values["modes"].items()
        for kind, times in figures["by_class"].items()
        if times
    ]
    return ("mode", "class", "comparisons", "share"), rows


def pattern_table(values: Values) -> Table:
    """Divergences that look the same."""
    rows = [
        (
            _what(one),
            f"{one['divergences']:,}",
            f"{one['open']:,}",
            f"{one['characters']:,}",
            f"{one['times']:,}",
            ", ".join(map(str, one["entries"])) if one["fields"] != [MONEY] else "",
            moment(one["first_us"] // US),
            moment(one["last_us"] // US),
            one["known"],
        )
        for one in values["patterns"]
    ]
    return (
        (
            *("class and fields", "divergences", "open", "characters", "times seen"),
            *("entries as", "first seen", "last seen", "known because"),
        ),
        rows,
    )


def worst_table(values: Values) -> Table:
    """Characters with the most comparisons that diverged."""
    rows = [
        (
            str(one["character_guid"]),
            one["mode"],
            *(f"{one[name]:,}" for name in ("compared", "diverged", "missed")),
        )
        for one in values["worst"]
    ]
    return ("character", "mode", "compared", "diverged", "missed"), rows


def reason_table(values: Values) -> Table:
    """Why changes were missed."""
    rows = [
        (one["mode"], f"{one['times']:,}", moment(one["last_us"] // US), one["example"])
        for one in values["reasons"]
    ]
    return ("mode", "missed", "last", "as in"), rows


def example_lines(one: Values) -> Iterator[str]:
    """One divergence in full: where, when, after what, and both values."""
    decider = one["decider"]
    follower = "new" if decider == "legacy" else "legacy"
    state = f"known: {one['known']}" if one["known"] else one["state"].replace("_", " ")
    where = f"currency {one['slot']}" if one["fields"] == [MONEY] else f"slot {place(one['slot'])}"
    item = "" if one["fields"] == [MONEY] else f", entry {one['entry']}"
    times = "once" if one["times"] == 1 else f"{one['times']:,} times"
    yield f"{_what(one)}: character {one['character_guid']}, {where}{item} ({state})"
    yield (
        f"    seen {times}, {moment(one['first_us'] // US)} to "
        f"{moment(one['last_us'] // US)}, in mode {one['mode']}, last at a {one['at']}"
    )
    yield f"    {decider + ' has':<11} {_record_text(one['expected'], one['fields'])}"
    yield f"    {follower + ' has':<11} {_record_text(one['found'], one['fields'])}"
    for name, text in (("first_operations", "first seen after"), ("last_operations", "last after")):
        if one[name]:
            yield f"    {text} operations {', '.join(f'{number:#x}' for number in one[name])}"


def _what(one: Values) -> str:
    """Class and fields; that money differs need not be said twice."""
    fields = [field for field in one["fields"] if field != one["kind"]]
    return f"{one['kind']} {', '.join(fields)}".strip()


def _record_text(record: Mapping[str, int] | None, fields: Sequence[str]) -> str:
    """The fields that differ; of a whole item all that are not 0."""
    if record is None:
        return "nothing"
    shown = fields or [name for name, value in record.items() if value and name != "slot"]
    return ", ".join(f"{name} {record[name]}" for name in shown)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as they must be; the first and the last to the left."""
    lines = [tuple(headings), *map(tuple, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(headings))]
    last = len(headings) - 1
    for line in lines:
        cells = (
            cell.ljust(width) if spot in (0, last) else cell.rjust(width)
            for spot, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


# Values for people


def moment(seconds: float) -> str:
    """Seconds since 1970 as a time of UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def place(slot: int) -> str:
    """An absolute slot as bag and slot in it."""
    return f"{slot >> 8}:{slot & 0xFF}"
