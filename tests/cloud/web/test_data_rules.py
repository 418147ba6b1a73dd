"""The rules of data in plain words, and the page of open data for everybody."""

from html import unescape

import httpx
import pytest

from cloud.web.data_rules import rule_view
from cloud.web.texts import LANGUAGES, load_texts
from protocols.clock import ManualClock
from tests.support.http_services import World
from tests.support.retention import DAY_MS, make_job, shipped_rules

RULES = shipped_rules()


def terms(rule_id: str, language: str) -> list[str]:
    rule = next(one for one in RULES.rules if one.id == rule_id)
    return list(rule_view(RULES, rule, load_texts(language)).terms)


def test_terms_are_sentences() -> None:
    assert terms("alarm", "en")[0] == (
        "Alarm: deleted 3653 days (about 10 years) after its last change (only: closed)"
    )
    told = "确认人、搁置人：自最后变化起1461天（约4年）后假名化（仅限：已关闭）"
    assert terms("alarm", "zh")[1] == told
    assert terms("log", "en") == [
        "Batch: deleted 7 days after it was stored, once every consumer has passed"
    ]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_rule_is_shown_with_the_last_reports(
    world: World, operator: httpx.AsyncClient, language: str
) -> None:
    for days in (2, 1):
        clock = ManualClock(world.clock.wall_ms() - days * DAY_MS)
        await make_job({"state": world.database}, clock).run()
    operator.cookies.set("suyuan_language", language)
    page = await operator.get("/data-rules")
    assert page.status_code == 200
    for rule in RULES.rules:
        assert f'id="{rule.id}"' in page.text
        assert load_texts(language).of(rule, "title") in unescape(page.text)
    assert page.text.count('<td class="number">0</td>') == 2
    assert load_texts(language)("data_rules.nothing_due") in page.text


async def test_rules_are_for_who_is_signed_in_and_open_data_for_everybody(
    visitor: httpx.AsyncClient,
) -> None:
    assert (await visitor.get("/data-rules")).status_code == 303
    page = await visitor.get("/open")
    assert page.status_code == 200
    for kind in RULES.open():
        assert f'href="/open/{kind}.csv"' in page.text
    assert 'href="/open"' in (await visitor.get("/login")).text
