"""Our subscription at a partner: made, looked after, ended."""

import secrets

import msgspec

from cloud.trace.exchange.base import Subscribed
from cloud.trace.exchange.remote import Failed, Repository
from cloud.trace.exchange.rows import Hand
from cloud.trace.subscriptions import Seal

SECRET_BYTES = 32


class Subscriber:
    """Keeps a subscription as it should be; fetching goes on with or without it."""

    def __init__(self, seal: Seal, base_url: str) -> None:
        """Take our own address, empty when it is not known: then nobody can call us."""
        self._seal, self._base_url = seal, base_url

    async def keep(self, hand: Hand, repository: Repository) -> None:
        """Make, renew or end it; that it cannot be made is told, and hinders nothing.

        Raises:
            Failed: it is not wanted any more, and did not end.
            Overtaken: stop.

        """
        state, pull = hand.partner.subscribed, hand.partner.pull
        if pull is None or not pull.subscribe or not self._base_url:
            if state.url:
                await repository.unsubscribe(state.url)
                await hand.move(subscribed=Subscribed())
            return
        try:
            after = await self._kept(hand, repository, pull.query_name)
        except Failed as failed:
            after = msgspec.structs.replace(hand.partner.subscribed, fault=str(failed))
        if after != hand.partner.subscribed:
            await hand.move(subscribed=after)

    async def _kept(self, hand: Hand, repository: Repository, name: str) -> Subscribed:
        state = hand.partner.subscribed
        if state.url:
            if state.query_name == name and await repository.works(state.url):
                return msgspec.structs.replace(state, fault="")
            await repository.unsubscribe(state.url)
        if not state.sealed:  # known here before it is known there: it may call at once
            sealed = self._seal.close(secrets.token_hex(SECRET_BYTES))
            await hand.move(subscribed=Subscribed(sealed=sealed))
        sealed, dest = hand.partner.subscribed.sealed, self._dest(hand)
        url = "" if state.url else await _left_there(repository, name, dest)
        url = url or await repository.subscribe(name, dest, self._seal.open(sealed))
        return Subscribed(sealed=sealed, url=url, query_name=name)

    def _dest(self, hand: Hand) -> str:
        return f"{self._base_url.rstrip('/')}/api/v1/partner-events/{hand.partner.partner_id}"


async def _left_there(repository: Repository, name: str, dest: str) -> str:
    """Find a subscription that was made just before we ended; empty when there is none."""
    try:
        return await repository.subscribed(name, dest)
    except Failed as failed:
        if failed.kind in ("gone", "bad_answer", "refused"):  # a partner that does not list them
            return ""
        raise
