"""The breaks themselves: every kind is made, each is Python, and what is only for the reader is left alone."""

import ast
from pathlib import Path

import pytest

from tests.mutants.coverage_map import IMPORT, CoverageMap, _forget
from tests.mutants.operators import Mutant, mutants_of, mutated

ROOT = Path(__file__).resolve().parents[2]


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants_of("a.py", source)]


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("add(FailureMiddleware)", "add(FailureMiddleware) → pass"),
        ("raise OverloadError", "raise OverloadError → pass"),
        ("headers['Retry-After'] = wait", "headers['Retry-After'] = wait → pass"),
        ("if a > b: pass", "if a > b: → if a >= b:"),
        ("if a: pass", "if a: → if False:"),
        ("x = f(data, size, limit)", "x = f(data, size, limit) → x = f(data, size)"),
        ("x = f(data, explain=True)", "x = f(data, explain=True) → x = f(data)"),
        ("x = f(data, explain=True)", "x = f(data, explain=True) → x = f(data, explain=False)"),
        ("x = a and b", "x = a and b → x = a or b"),
        ("x = not a", "x = not a → x = a"),
        ("x = a[0]", "x = a[0] → x = a[1]"),
        ("x = [i for i in a if i]", "x = [i for i in a if i] → x = [i for i in a]"),
        ("def f():\n    return a", "return a → return None"),
        ("x = 'nosniff'", "x = 'nosniff' → x = 'nosniff~'"),
        ("x = 0 < a < b", "x = 0 < a < b → x = 0 < a <= b"),
    ],
)
def test_every_kind_of_slip_is_made(source: str, change: str) -> None:
    assert change in changes(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""What this module is for."""', "import a", "x: 'Literal[1]'", "raise_ = 'Send a photo.'", "LIMIT = 32",
        "T = TypeVar('T')", "x = zip(a, strict=True)", "x = Field(description='Why.', examples=[1])",
        "WIDTH, HEIGHT = 3, 4",        "def f(a: int) -> 'dict[str, int]': pass", "if TYPE_CHECKING:\n    x = f(1)",
    ],
)  # fmt: skip
def test_what_is_for_the_reader_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_what_would_be_the_same_without_saying_so_is_not_taken_out() -> None:
    assert changes("x = int.from_bytes(data, 'big')") == [
        "x = int.from_bytes(data, 'big') → x = int.from_bytes(data, 'big~')"
    ]


def test_each_break_of_the_real_code_is_python_and_another_program() -> None:
    source = (ROOT / "api/_admission.py").read_text(encoding="utf-8")
    found = list(mutants_of("api/_admission.py", source))
    assert len(found) > 15
    plain = ast.unparse(ast.parse(source))
    for mutant in found:
        assert ast.unparse(ast.parse(mutated(mutant, source))) != plain
    assert len({mutated(mutant, source) for mutant in found}) == len(found)


def test_a_constant_belongs_to_the_lines_that_use_it() -> None:
    source = "NAMES = ('a',)\n\n\ndef f():\n    return x in NAMES\n"
    first: Mutant = next(iter(mutants_of("a.py", source)))
    assert first.lines == (1, 5)


def test_a_default_belongs_to_all_lines_of_its_function() -> None:
    source = "def f(a=1):\n    if a:\n        return a\n"
    assert [m.lines for m in mutants_of("a.py", source) if "a=2" in m.change] == [(1, 2, 3)]


def test_the_most_specific_tests_come_first_and_those_of_a_shared_fixture_too(tmp_path: Path) -> None:
    (tmp_path / "map").write_text(
        """{"seconds": {"t/test_a.py::one": 0.1, "t/test_b.py::wide": 0.1, "t/test_b.py::slow": 9.0, "u": 0.2},
        "fixtures": {"u": ["client"], "t/test_a.py::one": []}, "setup": {"client": 0.1},
        "lines": {"api/_a.py": {"1": ["import"], "2": ["t/test_b.py::wide", "fixture client", "t/test_a.py::one"],
                                "3": ["t/test_b.py::wide", "t/test_b.py::slow"]}}}"""
    )
    covered = CoverageMap(tmp_path / "map")
    assert covered.tests("api/_a.py", [2], 5) == ["t/test_a.py::one", "u", "t/test_b.py::wide"]
    assert covered.tests("api/_a.py", [3], 5) == ["t/test_b.py::wide"], "a slow test costs too much"
    assert covered.tests("api/_a.py", [9], 5) == []
    assert set(covered.tests("api/_a.py", [1], 5)) == {"t/test_a.py::one", "u", "t/test_b.py::wide"}
    assert IMPORT == "import"


def test_a_fixture_that_tests_share_is_paid_for_once_and_slow_tests_come_last(tmp_path: Path) -> None:
    (tmp_path / "map").write_text(
        """{"seconds": {"a": 0.1, "b": 0.1, "c": 0.1, "d": 0.2}, "setup": {"server": 1.5},
        "fixtures": {"a": ["server"], "b": ["server"], "c": [], "d": ["own"]},
        "lines": {"api/_a.py": {"2": ["a", "b", "c", "d"], "3": ["c", "d"], "4": ["d"]}}}"""
    )
    covered = CoverageMap(tmp_path / "map")
    assert covered.tests("api/_a.py", [2], 2.1) == ["c", "d", "a", "b"]
    assert covered.tests("api/_a.py", [2], 1.95) == ["c", "d", "a"]
    assert covered.tests("api/_a.py", [2], 1) == ["c", "d"]


def test_a_test_that_is_gone_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest fails where one isn't there: every break would count as noticed."""
    (tmp_path / "test_here.py").write_text("")
    monkeypatch.chdir(tmp_path)
    names = ["test_here.py::kept", "test_gone.py::a", "test_changed.py::renamed"]
    (tmp_path / "test_changed.py").write_text("")
    seconds = dict.fromkeys(names, 0.1)
    _forget(seconds, ["test_changed.py"])
    assert list(seconds) == ["test_here.py::kept"]
