"""Files of lines: whatever a crash leaves of the last one, the others are read and the next is whole."""

from pathlib import Path

import pytest

from consent import lines


@pytest.mark.parametrize("torn", [b'{"n": 2, "ro', b'{"n": 2}', b"\n", b""])
def test_a_line_after_a_crash_is_a_line_of_its_own(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "deep" / "lines.jsonl"
    lines.append(path, {"n": 1})
    with path.open("ab") as file:
        file.write(torn)
    lines.append(path, {"n": 3})
    found = [line["n"] for line in lines.read(path)]
    assert found in ([1, 3], [1, 2, 3])
    assert [line["n"] for line in lines.since(path, 3)] == [3]


def test_a_file_that_is_not_there_has_no_line(tmp_path: Path) -> None:
    assert list(lines.read(tmp_path / "none.jsonl")) == []


def test_the_last_line_is_found_from_the_end_however_long_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert lines.last(path) is None
    for n in range(3):
        lines.append(path, {"n": n})
    assert lines.last(path) == {"n": 2}
    lines.append(path, {"n": 3, "long": "x" * 200_000})
    found = lines.last(path)
    assert found is not None
    assert found["n"] == 3
    with path.open("ab") as file:
        file.write(b'{"n": 4, "half')  # a crash while it was written
    assert (lines.last(path) or {})["n"] == 3
    lines.append(path, {"n": 5})
    assert lines.last(path) == {"n": 5}


def test_other_lines_take_the_place_of_all(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    for n in range(3):
        lines.append(path, {"n": n})
    with lines.alone(path):
        lines.rewrite(path, [{"n": 2}])
    lines.append(path, {"n": 3})
    assert list(lines.read(path)) == [{"n": 2}, {"n": 3}]
    assert path.stat().st_mode & 0o777 == 0o600
