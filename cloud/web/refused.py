"""Why a form was not taken, in the words of its reader."""

from cloud.web.texts import Texts
from protocols.errors import RefuseInput


def refused_text(error: RefuseInput, t: Texts, *, about: str = "wrong") -> str:
    """Return a sentence; of a bad request it is that of the field which its detail names.

    `about`: the table of texts that is looked at first.
    """
    word = error.reason
    if word == "bad_request":
        word = error.detail.partition(":")[0].replace(".", "_")
    common = t.find(f"wrong.{word}", t("wrong.other"))
    return t.find(f"{about}.{word}", common).format(detail=error.detail)
