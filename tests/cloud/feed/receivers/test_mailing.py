"""Items by mail, to a server on loopback."""

import pytest

from cloud.feed.receivers.mailing import MailSender
from cloud.feed.words import load_feed_words
from cloud.model.receiver import ReceiverOptions
from cloud.outbound.mail import Mailer, MailSettings
from protocols.clock import ManualClock
from tests.cloud.feed.receivers.test_calls import NOW_MS, item, to
from tests.support.feed_items import alarm_data
from tests.support.smtp import mail_server


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_mail_says_what_and_where_and_keeps_its_id(language: str) -> None:
    options = ReceiverOptions(language=language)  # type: ignore[arg-type]
    where = to("duty@city.test", "mail", options=options)
    async with mail_server() as server:
        settings = MailSettings(
            host="127.0.0.1", port=server.port, sender="s@city.test", security="none"
        )
        sender = MailSender(
            where,
            Mailer(settings, None),
            ManualClock(),
            load_feed_words(),
            base_url="https://city.test",
        )
        for _ in range(2):
            assert (await sender.send([item(7)])).ok
        rest = [item(n, alarm_data(NOW_MS, n, severity="warning")) for n in range(10, 80)]
        assert (await sender.send(rest)).ok
        assert (await sender.test()).ok
    first, again, several, test = server.taken
    assert first["Message-ID"] == again["Message-ID"] == "<abc123.7@city.test>"
    zh = language == "zh"
    assert ("【紧急】电梯困人" if zh else "[EMERGENCY] Passengers trapped") in first["Subject"]
    assert ("状态：待确认" if zh else "State: To acknowledge") in first.get_content()
    assert "https://city.test/alarms/1" in first.get_content()
    assert several["Subject"] == ("另有 70 条告警信息" if zh else "70 more from the feed")
    assert several["Message-ID"] == "<abc123.10-79@city.test>"
    assert ("另有 20 条" if zh else "and 20 more") in several.get_content()
    assert "测试" in test["Subject"] if zh else "test" in test["Subject"]


async def test_without_a_mail_server_it_says_so() -> None:
    sender = MailSender(to("a@b.test", "mail"), None, ManualClock(), load_feed_words(), base_url="")
    assert (await sender.send([item()])).detail == "this service sends no mail"
