"""What a tag says: its own number, and what a layout finds in its memory.

A number of the chip itself always counts. All else counts only while nothing is wrong with the
tag: a damaged one, or one that contradicts itself, tells no identity, only what is wrong.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from edge.decode.ndef import read_ndef
from edge.decode.pairing import disagree
from edge.decode.sun import SunKeys, find_sun, verify_sun
from edge.sources.base import Recognised, RecogniseText, TagSeen
from protocols import secp128r1
from protocols.catalog.tags import Finding, Layout, Sample
from protocols.epc import decode_epc
from protocols.errors import Fault, RefuseInput
from protocols.records import Code
from protocols.tag_memory import read_memory

_RANDOM_UID_BYTES = 4
"""A chip that hides its number answers with one of so many bytes, the first 08."""
_CODE_CHARACTERS_MAX = 4096
_CODES_MAX = 64
"""As many as a record carries; what a tag says beyond them is cut, and a finding says so."""


class _Told(Struct, frozen=True):
    """What one layout finds in one tag."""

    codes: tuple[Code, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Each makes the tag a damaged one."""
    doubts: tuple[str, ...] = ()
    """What is wrong with a text that is whole on the tag."""
    tare_kg: float | None = None


class TagDecoder:
    """Recognises tags by the layouts of a site."""

    def __init__(
        self,
        layouts: Iterable[Layout],
        recognise_text: RecogniseText,
        sun_keys: SunKeys | None = None,
    ) -> None:
        """Prepare.

        Args:
            layouts: those that are good.
            recognise_text: tells the codes in a URI or text of an NDEF record.
            sun_keys: without them the cloud alone verifies SUN messages.

        """
        self._layouts: dict[str, list[Layout]] = {}
        for layout in layouts:
            for technology in layout.technologies:
                self._layouts.setdefault(technology, []).append(layout)
        self._recognise_text, self._sun_keys = recognise_text, sun_keys

    def recognise(self, seen: TagSeen) -> Recognised:
        """Tell the codes of a tag, or what is wrong with it."""
        own = tuple(_own_numbers(seen))
        if not seen.complete:
            return Recognised((*own, *_bank(seen, "epc", "epc")), ("incomplete_read",))
        parts = [_check_originality(layout, seen) for layout in self._of(seen)]
        parts += [part for layout in self._chosen(seen) for part in self._read(layout, seen)]
        codes = tuple(dict.fromkeys((*own, *(code for part in parts for code in part.codes))))
        findings = list(dict.fromkeys(one for part in parts for one in part.findings))
        if disagree(codes):
            findings.append("codes_disagree")
        if findings:
            return Recognised(own, tuple(findings))
        codes += tuple(_bank(seen, "epc", "epc"))
        if seen.technology == "gen2":
            codes += tuple(_bank(seen, "user", "user_bank"))
        doubts = tuple(dict.fromkeys(one for part in parts for one in part.doubts))
        if len(codes) > _CODES_MAX:
            doubts = ("codes_cut", *doubts)
        tares = (part.tare_kg for part in parts if part.tare_kg is not None)
        return Recognised(codes[:_CODES_MAX], doubts, next(tares, None))

    def _of(self, seen: TagSeen) -> list[Layout]:
        return self._layouts.get(seen.technology, [])

    def _chosen(self, seen: TagSeen) -> list[Layout]:
        """Choose the layouts of a tag: one whose bytes stand in it keeps NDEF from being tried."""
        layouts = self._of(seen)
        matched = [layout for layout in layouts if _matches(layout, seen)]
        ndef = [] if matched else [layout for layout in layouts if layout.ndef is not None]
        epc = [layout for layout in layouts if layout.epc]
        return [*matched, *ndef, *(layout for layout in epc if layout not in matched)]

    def _read(self, layout: Layout, seen: TagSeen) -> Iterator[_Told]:
        if layout.epc:
            yield _read_epc(layout, seen)
        if _matches(layout, seen):
            memory = read_memory(layout, seen.banks)
            codes = [Code(*one) for one in memory.codes(layout)]
            if seen.technology != "gen2":
                codes += _bank(seen, "user", "user_bank")
            yield _Told(tuple(codes), memory.findings, tare_kg=memory.tare_kg(layout))
        elif layout.ndef is not None:
            found = read_ndef(layout.ndef, seen.banks)
            yield _Told(findings=found.findings)
            for text in found.texts:
                yield self._read_text(layout, seen, text)

    def _read_text(self, layout: Layout, seen: TagSeen, text: str) -> _Told:
        known = self._recognise_text(text.encode("utf-8"))
        try:
            message = find_sun(text, layout.sun)
            if message is None:
                return _Told(known.codes, doubts=known.findings)
            uid = message.uid
            codes = [*known.codes, Code("sun", text[:_CODE_CHARACTERS_MAX])]
            if self._sun_keys is not None:
                proof = verify_sun(message, self._sun_keys)
                uid = proof.uid
                codes.append(Code("sun_counter", str(proof.counter)))
        except RefuseInput:
            return _Told(findings=("bad_sun",))
        if uid and seen.uid is not None and uid != seen.uid:
            if len(seen.uid) != _RANDOM_UID_BYTES:
                return _Told(findings=("codes_disagree",))
            if self._sun_keys is not None:
                codes.append(Code("tag_uid", uid.hex().upper()))
        return _Told(tuple(codes), doubts=known.findings)


def prove(layout: Layout, file: str) -> list[Fault]:
    """Read the samples of a layout and tell each that does not come out as it says."""
    decoder = TagDecoder([layout], lambda raw: Recognised((Code("raw", raw.decode("utf-8")),)))
    faults = []
    for index, sample in enumerate(layout.samples):
        found = decoder.recognise(_as_seen(sample))
        codes = {code.scheme: code.value for code in found.codes}
        fields = read_memory(layout, _as_seen(sample).banks).fields if sample.fields else {}
        for key, expected, got in (
            ("codes", sample.codes, codes),
            ("findings", sample.findings, found.findings),
            ("fields", sample.fields, {name: fields.get(name) for name in sample.fields}),
        ):
            if expected != got:
                where = f"samples[{index}].{key}"
                faults.append(Fault(file, where, str(expected), str(got)))
    return faults


def _as_seen(sample: Sample) -> TagSeen:
    uid = bytes.fromhex(sample.uid)
    banks: dict[str, bytes] = {name: sample.bank(name) for name in sample.banks}
    key = uid or banks.get("epc", b"sample")
    return TagSeen(key=key, technology=sample.technology, uid=uid or None, banks=banks)


def _matches(layout: Layout, seen: TagSeen) -> bool:
    match = layout.match
    return match is not None and match.fits(seen.banks.get(match.bank, b""))


def _own_numbers(seen: TagSeen) -> Iterator[Code]:
    if seen.uid:
        yield Code("tag_uid", seen.uid.hex().upper())
    yield from _bank(seen, "tid", "tid")


def _bank(seen: TagSeen, bank: str, scheme: str) -> Sequence[Code]:
    """Return a bank as it is, in hex; nothing where it is blank."""
    memory = seen.banks.get(bank, b"")
    if not memory.strip(b"\0") or not memory.strip(b"\xff"):
        return ()
    return (Code(scheme, memory.hex().upper()[:_CODE_CHARACTERS_MAX]),)


def _read_epc(layout: Layout, seen: TagSeen) -> _Told:
    try:
        key = decode_epc(seen.banks.get("epc", b""))
    except RefuseInput:
        return _Told(findings=("bad_epc",))
    if key is None or key.scheme not in layout.epc:
        return _Told()
    return _Told((Code(key.scheme, key.value),))


def _check_originality(layout: Layout, seen: TagSeen) -> _Told:
    """Check the chip maker's signature where the chip has one; all 00 is none."""
    signature, uid = seen.banks.get("signature", b""), seen.uid or b""
    for form in layout.originality:
        version = seen.banks.get("version", b"")
        fits = uid.startswith(bytes.fromhex(form.uid)) and version.startswith(
            bytes.fromhex(form.version)
        )
        if any(signature) and fits:
            key = secp128r1.public_key(bytes.fromhex(form.public_key))
            if not secp128r1.verify(key, uid, signature):
                return _Told(findings=("bad_signature",))
    return _Told()
