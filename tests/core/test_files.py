import os
import threading

import pytest

from workbench.core.files import replace_file, shipped


@pytest.mark.parametrize(("content", "stored"), [("grün\n", "grün\n".encode()), (b"\x00\xff", b"\x00\xff")])
def test_text_and_bytes_are_written_as_given(tmp_path, content, stored):
    path = tmp_path / "made" / "on" / "the way.txt"
    assert replace_file(path, content) == path
    assert path.read_bytes() == stored


def test_nothing_is_left_beside_the_file(tmp_path):
    replace_file(tmp_path / "a.txt", "old")
    replace_file(tmp_path / "a.txt", "new")
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_replacement_leaves_what_was_there(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    with pytest.raises(OSError, match="taken"):
        replace_file(tmp_path / "taken", "new")
    assert [item.name for item in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken" / "inside").exists()


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "a.txt"
    versions = [character.encode() * 300_000 for character in "ab"]
    replace_file(path, versions[0])
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(30):
        replace_file(path, versions[turn % 2])
    done.set()
    reader.join()
    assert seen
    assert all(content in versions for content in seen)


def test_the_mode_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        path = replace_file(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "member"),
    [("catalogs", "sample.yaml"), ("notebooks", "00_welcome.ipynb"), ("apps", "market.py")],
)
def test_the_distribution_ships_its_folders(name, member):
    assert (shipped(name) / member).is_file()
