"""Why a form was not taken, in the words of its reader."""

from cloud.web.texts import Texts
from protocols.errors import RefuseInput


def refused_text(error: RefuseInput, t: Texts) -> str:
    """Return a sentence; of a bad request it is that of the field which its detail names."""
    word = error.reason
    if word == "bad_request":
        word = error.detail.partition(":")[0].replace(".", "_")
    return t.find(f"wrong.{word}", t("wrong.other")).format(detail=error.detail)
