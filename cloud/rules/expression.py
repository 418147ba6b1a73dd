"""CEL expressions over points, judged with three values: true, false, unknown.

CEL's `&&` and `||` already are Kleene's: `false && unknown` is false, `true || unknown` is true.
A point that is not known is an undefined variable, and any error of CEL makes the whole unknown.
"""

import re
from collections.abc import Iterable, Mapping

import cel

from protocols.readings import Value

_BOUND = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
_CEL_ERRORS = (RuntimeError, TypeError, ValueError, ArithmeticError, LookupError)
FUNCTIONS = frozenset(
    ("size", "contains", "startsWith", "endsWith", "matches", "has", "double", "int", "string")
)


class Variables:
    """Hands the values of one asset at a time to CEL; one of them serves all evaluations."""

    __slots__ = ("_columns", "context", "outside", "values")

    def __init__(self, columns: Mapping[str, int]) -> None:
        self._columns = columns
        self.values: list[Value] = []
        """By column; None: unknown."""
        self.outside: Mapping[str, Value] = {}
        """Variables that are no point of the asset, by name."""
        self.context = cel.Context()
        self.context.set_variable_resolver(self._resolve)

    def get(self, name: str) -> Value:
        """Return the value of a variable, None when unknown."""
        return self._resolve(name)

    def _resolve(self, name: str) -> Value:
        column = self._columns.get(name)
        if column is None:
            return self.outside.get(name)
        return self.values[column] if column < len(self.values) else None


class Expression:
    """One compiled expression.

    Raises:
        ValueError: it is no CEL; the message says where.

    """

    __slots__ = ("_execute", "functions", "names", "source")

    def __init__(self, source: str) -> None:
        program = cel.compile(source)
        bound = set(_BOUND.findall(source))
        self.source = source
        self.names = frozenset(name for name in program.variables() if name not in bound)
        """Variables that it reads."""
        self.functions = frozenset(name for name in program.functions() if name.isidentifier())
        self._execute = program.execute

    def judge(self, variables: Variables) -> bool | None:
        """Return true, false or, when it cannot be told, None."""
        try:
            result = self._execute(variables.context)
        except _CEL_ERRORS:
            return None
        return result if isinstance(result, bool) else None

    def trial(self, values: Mapping[str, Value]) -> str | None:
        """Judge sample values; return what CEL says against the expression, None when all is well.

        Finds what compiling does not: wrong types, unknown functions, a result that is no bool.
        """
        known = {name: value for name, value in values.items() if value is not None}
        try:
            result = self._execute(cel.Context(known))
        except _CEL_ERRORS as error:
            return str(error).split(". ", maxsplit=1)[0]
        return None if isinstance(result, bool) else f"{type(result).__name__} {result!r}"


def literals(source: str) -> Iterable[tuple[str, str]]:
    """Yield (variable, text) wherever an expression compares a variable with a literal text."""
    for name, text in re.findall(r'\b([a-z_]\w*)\s*[=!]=\s*"([^"]*)"', source):
        yield name, text
    for text, name in re.findall(r'"([^"]*)"\s+in\s+([a-z_]\w*)', source):
        yield name, text
    for name, listed in re.findall(r"\b([a-z_]\w*)\s+in\s+\[([^\]]*)\]", source):
        for text in re.findall(r'"([^"]*)"', listed):
            yield name, text
