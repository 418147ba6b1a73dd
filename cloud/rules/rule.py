"""A rule as the engine holds it, and the set of all rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cloud.model.alarm import Severity
from cloud.rules.expression import Expression

GATEWAY_ONLINE = "gateway_online"
"""Variable: the point `online` of the gateway that reported the asset last."""
BROKER_CONNECTED = "broker_connected"
"""Variable: the point of that name of `service:cloud`."""
OUTSIDE = (GATEWAY_ONLINE, BROKER_CONNECTED)
LATE_AFTER_MS = 120_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Proof:
    """One way in which an alert proves itself."""

    name: str | None
    """None: the only one of its rule. Neighbours of one name are as strong as each other."""
    expr: Expression
    for_ms: int
    """So long must it hold before the alert fires."""
    suppress_when: Expression | None = None
    """While it is true the proof does not count; unknown holds nothing back."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """One alert of one kind of asset."""

    alert: str
    kind: str
    severity: Severity
    proofs: tuple[Proof, ...]
    """Weakest first."""
    keep_firing_for_ms: int = 0
    late_after_ms: int = LATE_AFTER_MS
    """What reached the cloud later than this after it was observed is late history."""
    latch: bool = False
    """Its alarm stands until somebody resets it; never an emergency's."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def emergency(self) -> bool:
        """Never held back: not by lateness, missing data, or suppression once it fires."""
        return self.severity == "emergency"

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """How strong each proof is."""
        names = list(dict.fromkeys(proof.name for proof in self.proofs))
        return tuple(names.index(proof.name) for proof in self.proofs)

    @cached_property
    def inputs(self) -> frozenset[str]:
        """Variables that it reads."""
        found: set[str] = set()
        for proof in self.proofs:
            found |= proof.expr.names
            if proof.suppress_when is not None:
                found |= proof.suppress_when.names
        return frozenset(found)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Variables whose values an alarm shows, sorted."""
        return tuple(sorted(self.inputs))


@dataclass(frozen=True, eq=False)
class RuleSet:
    """All rules, each alert once."""

    rules: tuple[Rule, ...]

    @cached_property
    def by_kind(self) -> Mapping[str, Sequence[Rule]]:
        """Rules by the kind of asset that they judge."""
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            found.setdefault(rule.kind, []).append(rule)
        return found

    @cached_property
    def by_alert(self) -> Mapping[str, Rule]:
        """Rules by alert name."""
        return {rule.alert: rule for rule in self.rules}
