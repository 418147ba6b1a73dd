"""The rules of data in plain words, and what was last done about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud.api.base import Services
from cloud.model.data_rule import DataRule, DataRules, Step
from cloud.model.permissions import load_calls, load_roles
from cloud.model.retention import RetentionRun
from cloud.web.texts import Texts
from cloud.web.visit import SignedIn, Visit

RUNS = 14
DAYS_A_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule, in one language."""

    id: str
    title: str
    collected_by: str
    purpose: str
    goes_to: str
    roles: Sequence[str]
    stays: str | None
    terms: Sequence[str]
    personal: Sequence[str]
    sources: Sequence[tuple[str, str]]
    """Text, confidence."""
    too_short: float | None
    open: Sequence[tuple[str, str]]
    """Name, title."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run of the retention job."""

    run: RetentionRun
    rows: int
    kinds: Sequence[tuple[str, int]]
    """What went, by title of the rule."""


def router(services: Services, signed_in: SignedIn) -> APIRouter:
    """Build /data-rules."""
    routes = APIRouter()

    @routes.get("/data-rules")
    async def data_rules(
        visit: Annotated[Visit, Depends(signed_in("rules_of_data.read", whole=True))],
    ) -> Response:
        rules, runs = services.data.rules, await services.data.runs(RUNS)
        return visit.render(
            "data_rules.html",
            head=services.feed.head,
            rules=[rule_view(rules, rule, visit.t) for rule in rules.rules],
            runs=[run_view(rules, run, visit.t) for run in runs],
        )

    return routes


def rule_view(rules: DataRules, rule: DataRule, t: Texts) -> RuleView:
    """Write a rule in the language of `t`."""
    personal = {column for kept in rule.table for column in kept.personal}
    return RuleView(
        id=rule.id,
        title=t.of(rule, "title"),
        collected_by=t.of(rule, "collected_by"),
        purpose=t.of(rule, "purpose"),
        goes_to=t.of(rule, "goes_to"),
        roles=_roles(rule, t),
        stays=t.of(rule, "stays") if rule.stays else None,
        terms=[term_text(rules, step, t) for step in rule.step],
        personal=[t.find(f"data_column.{name}", name) for name in sorted(personal)],
        sources=[(t.of(one, "text"), one.confidence) for one in rule.source],
        too_short=rules.too_short(rule),
        open=[(one.id, t.of(one, "title")) for one in rule.open],
    )


def term_text(rules: DataRules, step: Step, t: Texts) -> str:
    """Write a step as a sentence."""
    columns = [t.find(f"data_column.{name}", name) for name in step.columns]
    only = [t.find(f"data_only.{word}", word) for words in step.where.values() for word in words]
    comma = t("data_rules.comma")
    text = t(
        "data_rules.term",
        days=_days(rules.days(step), t),
        since=t.find(f"data_since.{step.since}", step.since),
        action=t.find(f"data_action.{step.do}", step.do),
        columns=comma.join(columns) or t.find(f"data_rows.{step.table}", ""),
    )
    if only:
        text += t("data_rules.only", states=comma.join(only))
    text = text[0].upper() + text[1:]
    return text if step.by == "job" else text + t.find(f"data_by.{step.by}", "")


def run_view(rules: DataRules, run: RetentionRun, t: Texts) -> RunView:
    """Add up what a run did."""
    titles = {rule.id: t.of(rule, "title") for rule in rules.rules}
    by_rule: dict[str, int] = {}
    for one in run.report:
        by_rule[one.rule] = by_rule.get(one.rule, 0) + one.rows
    kinds = [(titles.get(rule, rule), rows) for rule, rows in by_rule.items() if rows]
    return RunView(run=run, rows=sum(by_rule.values()), kinds=kinds)


def _days(days: float, t: Texts) -> str:
    if days < DAYS_A_YEAR:
        return t("data_rules.days", days=f"{days:g}")
    return t("data_rules.years", days=f"{days:g}", years=f"{round(days / DAYS_A_YEAR, 1):g}")


def _roles(rule: DataRule, t: Texts) -> list[str]:
    """Return the titles of the roles that may make a call of the rule."""
    calls, roles = load_calls(), load_roles()
    held = {role for call in rule.calls for role in calls[call].roles()}
    return [t.of(role, "title") for name, role in roles.items() if name in held]
