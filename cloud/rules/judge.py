"""Judges the alerts of assets and keeps their deadlines; what came of it gathers in lists."""

import heapq
from collections.abc import Mapping

from cloud.model.alarm import Reason
from cloud.model.logged import PlacedReadings
from cloud.model.transition import Transition
from cloud.rules.evaluate import NEVER, AlertState, Outcome, ProofState, Sight, evaluate
from cloud.rules.expression import Variables
from cloud.rules.rule import BROKER_CONNECTED, GATEWAY_ONLINE, Rule
from cloud.rules.values import LONG_AGO, AssetState, Kind
from protocols.readings import Value

SERVICE_ASSET = "service:cloud"
ONLINE = "online"
CONTROLLER_ONLINE = "controller_online"

AlertKey = tuple[str, str]
"""(asset, alert)."""


class Judge:
    """Alerts of all assets; `assets` is the engine's own table, by asset id.

    `transitions` and `changed` (keys of alerts that moved) gather until the caller has stored
    them and clears them.
    """

    def __init__(self, assets: Mapping[str, AssetState]) -> None:
        self._assets = assets
        self._timers: list[tuple[int, str, int]] = []
        self._fired_through = LONG_AGO
        self.transitions: list[Transition] = []
        self.changed: dict[AlertKey, None] = {}

    @property
    def next_due(self) -> int:
        """The next deadline, NEVER when there is none."""
        return self._timers[0][0] if self._timers else NEVER

    def restore(self, asset: AssetState, index: int, state: AlertState) -> None:
        """Take an alert back as it was stored."""
        asset.alerts = asset.alerts or {}
        asset.alerts[index] = state
        self._arm(asset, index, state)

    def fire_due(self, horizon_ms: int, now_ms: int) -> None:
        """Fire all deadlines up to `horizon_ms`; the log must have been read up to it."""
        self._fired_through = max(self._fired_through, horizon_ms)
        while self._timers and self._timers[0][0] <= horizon_ms:
            due, name, index = heapq.heappop(self._timers)
            asset = self._assets[name]
            state = asset.alerts.get(index) if asset.alerts else None
            if state is not None and state.next_due == due:
                self.judge(asset, index, due, due, now_ms, timer=True)

    def judge_news(
        self,
        asset: AssetState,
        touched: set[int],
        at: int,
        received_at: int,
        now_ms: int,
        *,
        own: bool = True,
    ) -> None:
        """Judge the rules whose inputs changed, and alerts under way: any news may confirm them.

        Args:
            asset: of which there are news.
            touched: indexes of the rules whose inputs changed.
            at: when it was observed, ms since 1970.
            received_at: when it reached the cloud.
            now_ms: the cloud's clock.
            own: the asset's own word; False: of its gateway or of the service.

        """
        if asset.alerts:
            touched = touched | asset.alerts.keys()
        for index in sorted(touched):
            self.judge(asset, index, at, received_at, now_ms, news=own)

    def judge_idle(self, asset: AssetState, now_ms: int) -> None:
        """Judge the idle alerts of an asset on what is known: after a start, for new rules."""
        for index, reads in enumerate(asset.kind.read):
            if asset.alerts is None or index not in asset.alerts:
                times = [asset.times[column] for read in reads for column in read]
                at = max(times, default=LONG_AGO)
                if at > LONG_AGO:
                    self.judge(asset, index, at, now_ms, now_ms)

    def judge(
        self,
        asset: AssetState,
        index: int,
        at: int,
        received_at: int,
        now_ms: int,
        *,
        news: bool = True,
        timer: bool = False,
    ) -> None:
        """Judge one rule on what is known of the asset now."""
        kind, rule = asset.kind, asset.kind.rules[index]
        variables = self._variables(asset)
        truths = tuple([proof.expr.judge(variables) for proof in rule.proofs])
        state = asset.alerts.get(index) if asset.alerts else None
        if state is None and True not in truths:
            return  # idle and staying so: nearly always
        before = state or kind.fresh[index]
        times = asset.times
        sight = Sight(
            at=at,
            truths=truths,
            suppressed=_suppressed(rule, variables),
            known_at=tuple(
                [max([times[column] for column in read], default=at) for read in kind.read[index]]
            ),
            received_at=received_at,
            heard=self._is_heard(asset, rule),
            news=news and not timer,
            timer=timer,
        )
        moved, outcomes = evaluate(rule, before, sight)
        if moved != before:
            self._keep(asset, index, moved)
        elif not timer and moved.next_due <= self._fired_through:
            self._arm(asset, index, moved)  # it was held back when its deadline fell
        for outcome in outcomes:
            self._tell(asset, rule, outcome, now_ms, _shown(rule, variables), moved)

    def judge_undated(self, asset: AssetState, reading: PlacedReadings, now_ms: int) -> None:
        """Raise late the emergencies that readings of an unknown time prove by themselves."""
        kind, at = asset.kind, reading.received_at
        for index, rule in enumerate(kind.rules):
            state = asset.alerts.get(index) if asset.alerts else None
            if not rule.emergency or (state is not None and state.firing):
                continue
            for proof in range(len(rule.proofs) - 1, -1, -1):
                shown = self._undated_proof(asset, index, proof, reading)
                if shown is None:
                    continue
                proofs = list((state or kind.fresh[index]).proofs)
                proofs[proof] = ProofState(phase="firing", since=at, late=True)
                moved = AlertState(tuple(proofs), firing=True, evidence=proof)
                self._keep(asset, index, moved)
                outcome = Outcome("fired", proof, at, late=True)
                self._tell(asset, rule, outcome, now_ms, shown, moved)
                break

    def withdraw(self, asset: str, alert: str, evidence: str | None, now_ms: int) -> None:
        """End an alert whose rule is no longer there."""
        self.changed[(asset, alert)] = None
        self.transitions.append(
            Transition(
                asset=asset,
                alert=alert,
                severity="info",
                change="resolved",
                at=now_ms,
                observed_at=now_ms,
                evidence=evidence,
            )
        )

    def _undated_proof(
        self, asset: AssetState, index: int, proof_index: int, reading: PlacedReadings
    ) -> dict[str, Value] | None:
        """Return the values that prove it, None when they do not or newer ones refute it."""
        kind, rule = asset.kind, asset.kind.rules[index]
        proof, read = rule.proofs[proof_index], kind.read[index][proof_index]
        if proof.for_ms:
            return None  # how long it held, nobody can say
        known_at = min((asset.times[column] for column in read), default=LONG_AGO)
        is_live = reading.received_at - known_at <= rule.late_after_ms
        if is_live and proof.expr.judge(self._variables(asset)) is False:
            return None
        variables, values = kind.variables, reading.columns()
        for row in range(len(reading.at)):
            variables.values = [
                values[name][row] if name in values else None for name in kind.columns
            ]
            held = proof.suppress_when is not None and proof.suppress_when.judge(variables)
            if proof.expr.judge(variables) and not held:
                return _shown(rule, variables)
        return None

    def _variables(self, asset: AssetState) -> Variables:
        variables = asset.kind.variables
        variables.values = asset.values
        if asset.kind.watch_outside:
            service = self._assets.get(SERVICE_ASSET)
            variables.outside = {
                GATEWAY_ONLINE: self._gateway_online(asset),
                BROKER_CONNECTED: service.value(BROKER_CONNECTED) if service else None,
            }
        return variables

    def _gateway_online(self, asset: AssetState) -> Value:
        gateway = self._assets.get(f"gateway:{asset.gateway}")
        return gateway.value(ONLINE) if gateway else None

    def _is_heard(self, asset: AssetState, rule: Rule) -> bool:
        if asset.kind.name in ("gateway", "service"):
            return True  # the cloud's own word
        silent = asset.value(CONTROLLER_ONLINE) is False
        if silent and CONTROLLER_ONLINE not in rule.inputs:
            return False
        return self._gateway_online(asset) is not False

    def _keep(self, asset: AssetState, index: int, state: AlertState) -> None:
        if state.idle:
            if asset.alerts:
                asset.alerts.pop(index, None)
                asset.alerts = asset.alerts or None
        else:
            asset.alerts = asset.alerts or {}
            asset.alerts[index] = state
            self._arm(asset, index, state)
        self.changed[(asset.asset, asset.kind.rules[index].alert)] = None

    def _arm(self, asset: AssetState, index: int, state: AlertState) -> None:
        if state.next_due < NEVER:
            heapq.heappush(self._timers, (state.next_due, asset.asset, index))

    def _tell(
        self,
        asset: AssetState,
        rule: Rule,
        outcome: Outcome,
        now_ms: int,
        shown: dict[str, Value],
        state: AlertState,
    ) -> None:
        self.transitions.append(
            Transition(
                asset=asset.asset,
                alert=rule.alert,
                severity=rule.severity,
                change=outcome.change,
                at=now_ms,
                observed_at=outcome.since,
                evidence=rule.proofs[outcome.proof].name,
                late=outcome.late,
                stale=outcome.stale,
                values=shown,
                annotations=dict(rule.annotations),
                latching=rule.latch,
                reasons=_reasons(rule, state),
            )
        )


def _suppressed(rule: Rule, variables: Variables) -> tuple[bool | None, ...]:
    return tuple(
        [
            False if proof.suppress_when is None else proof.suppress_when.judge(variables)
            for proof in rule.proofs
        ]
    )


def _reasons(rule: Rule, state: AlertState) -> tuple[Reason, ...]:
    """Return the proofs that hold now, weakest first."""
    return tuple(
        Reason(
            evidence=proof.name,
            expr=proof.expr.source,
            since_at=held.since,
            for_ms=proof.for_ms,
            counts=held.phase == "firing",
        )
        for proof, held in zip(rule.proofs, state.proofs, strict=True)
        if held.phase != "idle"
    )


def _shown(rule: Rule, variables: Variables) -> dict[str, Value]:
    found = {name: variables.get(name) for name in rule.shown}
    return {name: value for name, value in found.items() if value is not None}


def kinds_watching(kinds: Mapping[str, Kind], variable: str) -> list[Kind]:
    """List the kinds with a rule that reads a variable from outside its assets."""
    return [kind for kind in kinds.values() if variable in kind.watch_outside]
