"""CEL with three values."""

import pytest

from cloud.rules.expression import Expression, Variables, literals
from protocols.readings import Value

COLUMNS = {"a": 0, "b": 1, "n": 2, "codes": 3, "word": 4}


def _judge(source: str, *values: Value) -> bool | None:
    variables = Variables(COLUMNS)
    variables.values = list(values)
    variables.outside = {"gateway_online": False}
    return Expression(source).judge(variables)


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("a && b", (False, None), False),
        ("a && b", (None, False), False),
        ("a && b", (True, None), None),
        ("a || b", (None, True), True),
        ("a || b", (None, False), None),
        ("!a", (None,), None),
        ("a", (True,), True),
        ("n", (None, None, 3), None),
        ("n > 2", (None, None, 3), True),
        ("n > 2", (None, None, 2.5), True),
        ("n > 2", (None, None, "B1"), None),
        ("n == 2", (None, None, "B1"), False),
        ('"90" in codes', (None, None, None, ["02", "90"]), True),
        ('"90" in codes', (None, None, None, []), False),
        ('"90" in codes', (), None),
        ('codes.exists(one, one == "90")', (None, None, None, ["90"]), True),
        ('word in ["x", "y"]', (None, None, None, None, "y"), True),
        ("gateway_online == false", (), True),
        ("nobody == true", (), None),
        ("1 / 0 == 1 || a", (True,), True),
        ("1 / 0 == 1", (), None),
    ],
)
def test_expression_is_true_false_or_unknown(
    source: str, values: tuple[Value, ...], expected: bool | None
) -> None:
    assert _judge(source, *values) is expected


def test_names_of_an_expression_leave_bound_ones_out() -> None:
    expression = Expression('codes.exists(one, one == "90") && n > 1')
    assert expression.names == {"codes", "n"}


def test_no_cel_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match="Syntax error"):
        Expression("a &&")


def test_literals_are_found_wherever_a_variable_meets_a_text() -> None:
    source = 'word == "x" || word in ["y", "z"] || "90" in codes || "q" != word'
    found = list(literals(source))
    assert found == [("word", "x"), ("codes", "90"), ("word", "y"), ("word", "z")]
