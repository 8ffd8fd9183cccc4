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
