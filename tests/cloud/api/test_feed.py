import httpx
import pytest
from starlette.requests import Request

from cloud.api.feed import resume_after
from protocols.errors import RefuseInput
from tests.support.http_services import World, entrapment


def request(query: str = "", last: str | None = None) -> Request:
    headers = [] if last is None else [(b"last-event-id", last.encode())]
    return Request({"type": "http", "query_string": query.encode(), "headers": headers})


def test_resume_after_header_counts_before_address() -> None:
    assert resume_after(request()) is None
    assert resume_after(request("after=5")) == 5
    assert resume_after(request("after=0")) == 0
    assert resume_after(request("after=5", "9")) == 9
    assert resume_after(request("after=5", "")) == 5


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "1" * 19, "٣"])
def test_resume_after_no_offset_is_refused(text: str) -> None:
    with pytest.raises(RefuseInput):
        resume_after(request(f"after={text}"))


async def test_feed_older_than_kept_or_newer_than_newest_is_410(
    client: httpx.AsyncClient, world: World
) -> None:
    world.desk.put(entrapment(world.clock))
    world.desk.put(entrapment(world.clock, 2))
    world.feed.oldest = 2
    for after in (0, 3):
        answer = await client.get("/api/v1/feed", params={"after": after})
        assert answer.status_code == 410
        assert answer.json()["type"] == "urn:suyuan:problem:gone"
    header = await client.get("/api/v1/feed", headers={"Last-Event-ID": "0"})
    assert header.status_code == 410
    assert (await client.get("/api/v1/feed?after=x")).status_code == 400
