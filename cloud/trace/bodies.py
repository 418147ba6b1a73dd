"""Event bodies at rest: JSON under zstd, with a dictionary of the words that all events say."""

from typing import Any

import msgspec
import zstandard

_WORDS = (
    b'"https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld""sensorElementList":[{'
    b'"sensorMetadata":{"time":"","deviceID":"https://id.gs1.org/8004/","rawData":"https://"},'
    b'"sensorReport":[{"type":"Temperature","value":,"minValue":,"maxValue":,"meanValue":,"uom":'
    b'"CEL"},{"type":"RelativeHumidity","value":,"uom":"P1"}]}],"persistentDisposition":{"set":['
    b'"completeness_verified"],"unset":["completeness_inferred"]},"errorDeclaration":{'
    b'"declarationTime":"2026-01-01T00:00:00.000+08:00","reason":"incorrect_data",'
    b'"correctiveEventIDs":["ni:///sha-256;?ver=CBV2.0"]},"ilmd":{"cbvmda:lotNumber":"",'
    b'"cbvmda:countryOfOrigin":"CN"},"transformationID":"urn:uuid:","inputEPCList":['
    b'"outputEPCList":["inputQuantityList":[{"epcClass":"urn:epc:class:lgtin:",'
    b'"outputQuantityList":[{"epcClass":"https://id.gs1.org/01/06901234/10/","quantity":,'
    b'"childQuantityList":[{"epcClass":"urn:epc:idpat:sgtin:","quantity":1,"uom":"EA"}],'
    b'"bizTransactionList":[{"type":"po","bizTransaction":"urn:epcglobal:cbv:bt:"},{"type":'
    b'"desadv","bizTransaction":"https://id.gs1.org/253/"}],"sourceList":[{"type":'
    b'"possessing_party","source":"https://id.gs1.org/417/"},{"type":"location","source":'
    b'"urn:epc:id:sgln:"}],"destinationList":[{"type":"owning_party","destination":'
    b'"urn:epc:id:pgln:"}],"type":"TransformationEvent","type":"AssociationEvent","type":'
    b'"TransactionEvent","type":"AggregationEvent","action":"DELETE","parentID":'
    b'"https://id.gs1.org/00/36901234","childEPCs":["urn:epc:id:sscc:","bizStep":"packing",'
    b'"bizStep":"commissioning","disposition":"active","bizStep":"receiving","disposition":'
    b'"in_progress","bizStep":"shipping","disposition":"in_transit","readPoint":{"id":'
    b'"https://id.gs1.org/414/6901234/254/"},"bizLocation":{"id":"urn:epc:id:sgln:"},'
    b'"quantityList":[{"epcClass":"https://id.gs1.org/01/06901234/10/","quantity":100,"uom":'
    b'"KGM"}],"action":"ADD","action":"OBSERVE","epcList":["urn:epc:id:sgtin:",'
    b'"https://id.gs1.org/01/06901234/21/"],"type":"ObjectEvent","eventTimeZoneOffset":"+08:00",'
    b'"eventID":"urn:uuid:","eventTime":"2026-11-26T12:00:00.000+08:00","eventTime":"2026-'
)
"""It never changes: bodies at rest need this very text. Another one would be a second dictionary
with a mark in front of the bodies that it made."""
_DICTIONARY = zstandard.ZstdCompressionDict(_WORDS, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
_DICTIONARY.precompute_compress(level=3)
_encoder = msgspec.json.Encoder()


class Packer:
    """Packs bodies; of one thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(
            level=3, dict_data=_DICTIONARY, write_checksum=False, write_content_size=True
        )

    def pack(self, body: Any) -> bytes:
        """Return a body at rest."""
        return self._compressor.compress(_encoder.encode(body))


class Unpacker:
    """Reads what `Packer` packed; of one thread."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(dict_data=_DICTIONARY)

    def unpack(self, packed: bytes) -> dict[str, Any]:
        """Return the body."""
        body: dict[str, Any] = msgspec.json.decode(self._decompressor.decompress(packed))
        return body
