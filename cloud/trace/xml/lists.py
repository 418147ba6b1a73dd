"""Which properties of an event are lists in XML, and which hold standard values."""

REPEATED = {
    **dict.fromkeys(("epcList", "childEPCs", "inputEPCList", "outputEPCList"), "epc"),
    **dict.fromkeys(("quantityList", "childQuantityList"), "quantityElement"),
    **dict.fromkeys(("inputQuantityList", "outputQuantityList"), "quantityElement"),
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
    "sensorElementList": "sensorElement",
    "correctiveEventIDs": "correctiveEventID",
}
"""Lists, and the element that XML has for each of what is in them."""
TYPES = {
    "bizTransactionList": "bizTransactionType",
    "sourceList": "sourceDestinationType",
    "destinationList": "sourceDestinationType",
}
"""Lists of texts with a type, and the list of standard values that the type is of."""
WORDS = {"bizStep": "bizStep", "disposition": "disposition", "reason": "errorReason"}
REPORT_WORDS = {"type": "measurementType", "exception": "exception", "component": "component"}
"""Of a sensor report."""
