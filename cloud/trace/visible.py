"""Who may see an event, said inside the queries."""

from sqlalchemy import ColumnElement, Select, and_, false, or_, select, true
from sqlalchemy.sql.selectable import FromClause

from cloud.model.principal import Scope
from cloud.model.trace_tables import trace_facet, trace_holder, trace_party, trace_word
from cloud.model.visible import sees_organisation


def sees_event(scope: Scope, event: FromClause) -> ColumnElement[bool]:
    """Hold where the scope admits a row of `trace_event`, here under its alias.

    It is admitted by the organisation that captured it, by any that sent it again, and by any
    that its source and destination lists name under an identifier of `trace_party`.
    """
    if scope.everything:
        return true()
    if not (scope.organisations or scope.remits):
        return false()
    word = trace_word.alias().c
    ours = select(word.word_no).where(
        word.kind == "organisation", sees_organisation(scope, word.word)
    )
    holder = trace_holder.alias().c
    held = select(holder.event_no).where(holder.organisation.in_(ours))
    return or_(
        event.c.organisation.in_(ours),
        event.c.event_no.in_(held),
        event.c.event_no.in_(_named(scope)),
    )


def _named(scope: Scope) -> Select[tuple[int]]:
    facet, party, word = trace_facet.alias().c, trace_party.alias().c, trace_word.alias().c
    lists = or_(*(_begins(word.word, f"{name}:") for name in ("source", "destination")))
    names = select(word.word_no).where(word.kind == "facet", lists)
    known = select(party.identifier).where(sees_organisation(scope, party.organisation))
    return select(facet.event_no).where(facet.name.in_(names), facet.text.in_(known))


def _begins(column: ColumnElement[str], start: str) -> ColumnElement[bool]:
    return and_(column >= start, column < start[:-1] + chr(ord(start[-1]) + 1))
