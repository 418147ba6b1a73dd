"""What stands on the screen, as text: never by colour alone, always with a word and a symbol."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rich.text import Text

from edge.handheld.store import KeptRecord
from edge.handheld.words import Words
from edge.handheld.workflow import Draft, Looked, Shelf
from protocols.cylinders.base import Cylinder, Verdict
from protocols.cylinders.book import RuleBook
from protocols.handheld import Count, Inspection, Scan

FACES = {
    "fill": ("✔", "black on green"),
    "passed": ("✔", "black on green"),
    "do_not_fill": ("✖", "white on red"),
    "stopped": ("✖", "white on red"),
    "refused": ("✖", "white on red"),
    "cannot_decide": ("?", "black on yellow"),
    "instructed": ("!", "black on yellow"),
    "conflict": ("!", "black on yellow"),
}
"""Symbol and colours of a word that decides."""
ROWS_MAX = 40
"""Of one list on a screen."""


def banner(word: str, words: Words) -> Text:
    """Return a deciding word, large."""
    symbol, style = FACES[word]
    line = f"  {symbol}  {words(word)}  {symbol}  "
    return Text(f"\n{line}\n", style=f"bold {style}", justify="center")


def looked(
    found: Looked, book: RuleBook | None, history: Sequence[KeptRecord], words: Words
) -> Text:
    """Return what was scanned, with the verdict and all its reasons."""
    one, parts = found.identified, list[Text]()
    if one.asset is None:
        head = words.find(one.fault, words("unreadable")) if one.fault else words("not_cylinder")
        parts += [Text(f"✖ {head}", "bold"), Text(one.tag_uid or one.text[:76])]
        parts += [Text(f"{words('may_be')} {other}") for other in one.others[:3]]
        if not one.fault and one.tag_uid is None:
            parts.append(Text(words("not_cylinder_do")))
        return lines(parts)
    if found.verdict is not None:
        parts += [banner(found.verdict.decision, words), *_reasons(found.verdict, book, words)]
    else:
        parts.append(Text(words("no_rules"), "bold"))
    parts.append(Text(one.asset.partition(":")[2], "bold"))
    if found.cylinder is None:
        parts.append(Text(words("unknown")))
    else:
        parts += _facts(found.cylinder, found.verdict, book, words)
    return lines([*parts, *_history(history, words)])


def findings(draft: Draft, words: Words, most: int) -> Text:
    """Return a form with what was found, and what else belongs to it."""
    chosen = {one.code for one in draft.findings}
    parts = [banner(draft.outcome, words), Text(draft.asset.partition(":")[2], "bold")]
    if draft.recheck_of:
        parts.append(Text(words("recheck", what=f"#{draft.recheck_of.partition(':')[2]}")))
    photo, place = words("photo", count=len(draft.photos)), words("position")
    parts.append(Text(f"{words('instruction')}  {photo}  {place}{' ✔' if draft.position else ''}"))
    parts.append(Text(words("sign", count=len(draft.signatures), most=most), "bold"))
    if draft.instruction is not None:
        parts += [Text(draft.instruction.text), Text(words("due_on", day=draft.instruction.due_on))]
    parts.append(Text(words("findings"), "dim"))
    for number, rule in enumerate(draft.form.findings, 11):
        mark = "■" if rule.code in chosen else "□"
        style = "bold reverse" if rule.code in chosen else ""
        parts.append(Text(f"{number} {mark} {words.title(rule)}", style))
    return lines(parts)


def shelf(one: Shelf, words: Words) -> Text:
    """Return how a count stands."""
    parts = [Text(f"{one.place}  {words('count_scan')}", "bold")]
    for key, symbol, all_ in (
        ("expected", " ", sorted(one.expected)),
        ("found", "✔", one.found),
        ("missing", "✖", one.missing),
        ("unexpected", "!", one.unexpected),
    ):
        parts.append(Text(f"{symbol} {words(key)} {len(all_)}", "bold" if all_ else "dim"))
    parts.append(Text(words("count_keys")))
    parts += [Text(f"! {code.partition(':')[2]}") for code in one.unexpected[-5:]]
    parts += [Text(f"✖ {code.partition(':')[2]}") for code in one.missing[:ROWS_MAX]]
    return lines(parts)


def fault(kept: KeptRecord, left: int, words: Words, zone: ZoneInfo) -> Text:
    """Return the service's word on one record, beside the record."""
    word, record = kept.word, kept.record
    if word is None:
        return Text("")
    parts = [
        banner(word.outcome, words),
        Text(words("fault_of", number=record.number, left=left), "bold"),
        Text(f"{moment(record.observed_at, zone)} {_short(kept, words)}"),
        Text(words.find(f"reason_{word.reason}", word.reason), "bold"),
    ]
    for key, told in (("platform_expected", word.expected), ("platform_found", word.found)):
        if told:
            parts.append(Text(f"{words(key)}: {told}"))
    return lines([*parts, Text(words("fault_next"))])


def lines(parts: Iterable[Text]) -> Text:
    """Put texts below one another."""
    return Text("\n").join(parts)


def moment(at_ms: int, zone: ZoneInfo) -> str:
    """Write a time for people: `03-15 14:02`."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).strftime("%m-%d %H:%M")


def _reasons(verdict: Verdict, book: RuleBook | None, words: Words) -> Iterable[Text]:
    for one in verdict.reasons:
        rule = book.reason.get(one.reason) if book is not None else None
        title = words.title(rule[1]) if rule else one.reason
        symbol = FACES[one.decision][0]
        yield Text(f"{symbol} {title}" + (f": {one.found}" if one.found else ""))


def _facts(
    cylinder: Cylinder, verdict: Verdict | None, book: RuleBook | None, words: Words
) -> Iterable[Text]:
    kind = book.kind.get(cylinder.kind) if book else None
    gas = book.gas.get(cylinder.gas) if book else None
    told = {
        "kind": words.title(kind) if kind else cylinder.kind,
        "gas": words.title(gas) if gas else cylinder.gas,
        "filler": cylinder.filler,
        "made": cylinder.manufactured_on,
        "inspected": cylinder.inspected_on,
        "due": verdict.due_on if verdict else cylinder.inspection_due_on,
        "life": verdict.life_ends_on if verdict else None,
        "limit": f"{verdict.limit_kg:g} kg" if verdict and verdict.limit_kg else None,
    }
    for key, value in told.items():
        yield Text(f"{words(key)}: {value or words('not_known')}")


def _history(history: Sequence[KeptRecord], words: Words) -> Iterable[Text]:
    if history:
        yield Text(words("history"), "bold")
    for one in history:
        mark = {None: "…", "taken": "✔", "known": "✔"}.get(one.outcome, "!")
        yield Text(f"{mark} #{one.record.number} {_short(one, words)}")


def _short(kept: KeptRecord, words: Words) -> str:
    what = kept.record.what
    if isinstance(what, Inspection):
        return f"{what.asset.partition(':')[2]} {words(what.outcome)}"
    if isinstance(what, Scan):
        return f"{what.text[:24]} {words(what.decision) if what.decision else ''}".strip()
    if isinstance(what, Count):
        return f"{what.place} {len(what.found)}/{len(what.missing)}/{len(what.unexpected)}"
    return f"{what.asset.partition(':')[2]} {what.uid}"
