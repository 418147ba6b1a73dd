"""The same traces from the tables."""


def beside(*args: object) -> None:
    del args
