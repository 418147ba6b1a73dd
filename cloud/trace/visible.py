"""Who may see an event, said inside the queries."""

from sqlalchemy import ColumnElement, Select, exists, false, select, true
from sqlalchemy.sql.selectable import FromClause

from cloud.model.principal import Scope
from cloud.model.trace_tables import trace_sight, trace_word
from cloud.model.visible import sees_organisation


def sees_event(scope: Scope, event: FromClause) -> ColumnElement[bool]:
    """Hold where the scope admits a row of `trace_event`, here under its alias.

    It is admitted by the organisations of `trace_sight`: who captured it, who sent it again, and
    whom its source and destination lists name.
    """
    if scope.everything:
        return true()
    if not (scope.organisations or scope.remits):
        return false()
    sight = trace_sight.alias().c
    # + 0: by the event, not by each of many organisations
    ours = (sight.organisation + 0).in_(organisations_of(scope))
    return exists(select(sight.event_no).where(sight.event_no == event.c.event_no, ours))


def organisations_of(scope: Scope) -> Select[tuple[int]]:
    """Return a query for the numbers of the organisations that a scope admits."""
    word = trace_word.alias().c
    known = select(word.word_no).where(word.kind == "organisation")
    return known.where(sees_organisation(scope, word.word))
