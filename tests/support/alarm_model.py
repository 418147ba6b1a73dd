"""ISA-18.2 in the slowest and plainest way, written without a look at the table under test."""

from dataclasses import dataclass


@dataclass
class PlainAlarm:
    """One alarm as a few plain questions; its state is what follows from the answers."""

    emergency: bool = False
    latching: bool = False
    present: bool = False
    """The process is in alarm."""
    design: bool = False
    """The rule holds it back by design."""
    latch: bool = False
    """It was before an operator and latches."""
    seen: bool = True
    """An operator acknowledged what there was to see."""
    on_shelf: bool = False
    out: bool = False

    def word(self) -> str:
        """Return the state."""
        if self.out:
            return "out_of_service"
        if self.on_shelf:
            return "shelved"
        if self.design:
            return "suppressed_by_design"
        if self.present:
            return "acknowledged" if self.seen else "unacknowledged"
        if self.latch:
            return "latched_acknowledged" if self.seen else "latched_unacknowledged"
        return "normal" if self.seen else "return_to_normal_unacknowledged"

    def do(self, verb: str, asset_out: bool) -> bool:
        """Let something happen; tell whether it means anything now."""
        match verb:
            case "fire" | "upgrade" | "unsuppress":
                return self._appears(verb, asset_out)
            case "resolve":
                return self._goes()
            case "suppress":
                return self._hidden()
            case "acknowledge" | "reset" | "repeat":
                return self._answered(verb)
            case "shelve" | "take_out_of_service":
                return self._held(verb)
            case _:
                return self._let_go(verb)

    def _announce(self) -> bool:
        self.present, self.seen = True, False
        self.design = self.on_shelf = self.out = False
        self.latch = self.latching and not self.emergency
        return True

    def _appears(self, verb: str, asset_out: bool) -> bool:
        if self.out or self.on_shelf or self.design:
            if self.emergency:
                return self._announce()
            if self.out or self.on_shelf:
                self.present = True
                self.design = self.design and verb == "upgrade"
                return True
            return True if verb == "upgrade" else self._announce()
        if self.word() == "normal" and asset_out and not self.emergency:
            self.present = self.out = True
            return True
        if self.present:
            return verb == "upgrade"
        return self._announce()

    def _goes(self) -> bool:
        hidden = self.word() == "suppressed_by_design"
        if not (self.present or self.on_shelf or self.out):
            return False
        self.present = self.design = False
        if hidden:
            self.seen = not self.latch
        return True

    def _hidden(self) -> bool:
        if self.emergency or self.word() == "suppressed_by_design":
            return False
        if not (self.out or self.on_shelf or self.present):
            return False
        self.present = self.design = True
        return True

    def _answered(self, verb: str) -> bool:
        if self.out or self.on_shelf or self.design:
            return False
        if verb == "reset":
            was, self.latch = self.latch and not self.present, self.latch and self.present
            return was
        if verb == "repeat":
            return self.emergency and not self.seen
        was, self.seen = not self.seen, True
        return was

    def _held(self, verb: str) -> bool:
        if self.emergency or self.word() == "normal" or self.out:
            return False
        if verb == "take_out_of_service":
            self.out, self.on_shelf = True, False
            return True
        if self.on_shelf or self.design:
            return False
        self.on_shelf = True
        return True

    def _let_go(self, verb: str) -> bool:
        if verb == "unshelve":
            was, self.on_shelf = self.on_shelf, False
        else:
            was, self.out = self.out, False
        if was and self.present and not self.design:
            return self._announce()
        if was:
            self.seen = not (self.present or self.latch)
        return was
