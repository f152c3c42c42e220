import fsspec
import pytest


@pytest.fixture(scope="module")
def files():
    return fsspec.filesystem("package")


def test_a_file_of_a_package_is_read_by_its_url():
    with fsspec.open("package://workbench/core/clock.py") as stream:
        assert stream.read().startswith(b'"""The one clock.')


def test_a_folder_is_listed_with_sizes(files):
    listed = {item["name"]: item for item in files.ls("package://workbench/core")}
    clock = listed["workbench/core/clock.py"]
    assert clock["type"] == "file"
    assert clock["size"] == len(files.cat_file("package://workbench/core/clock.py"))
    assert files.ls("package://workbench/core", detail=False) == list(listed)
    assert files.info("package://workbench/core")["type"] == "directory"


@pytest.mark.parametrize(
    "path",
    ["workbench/../tests/conftest.py", "workbench/core/../../pyproject.toml", "workbench//etc/passwd"],
)
def test_a_path_cannot_leave_its_package(files, path):
    with pytest.raises(PermissionError, match="leaves its package"):
        files.open(f"package://{path}")


def test_a_link_out_of_its_package_is_not_followed(files, tmp_path, monkeypatch):
    package = tmp_path / "linked_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "secret.txt").write_text("secret")
    (package / "link.txt").symlink_to(tmp_path / "secret.txt")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PermissionError, match="leaves its package"):
        files.open("package://linked_package/link.txt")


@pytest.mark.parametrize("name", ["no_such_package", "../etc", "json.decoder", "zipimport", "__main__", ""])
def test_what_is_no_installed_package_is_told(files, name):
    with pytest.raises(FileNotFoundError, match="is not installed"):
        files.open(f"package://{name}/x.csv")


@pytest.mark.parametrize("mode", ["wb", "ab", "r+b"])
def test_nothing_can_be_opened_for_writing(files, mode):
    with pytest.raises(PermissionError, match="read-only"):
        files.open("package://workbench/core/clock.py", mode)


def test_a_package_is_not_imported_to_find_its_files(files, tmp_path, monkeypatch):
    package = tmp_path / "never_import_me"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "a.csv").write_text("x")
    monkeypatch.syspath_prepend(tmp_path)
    assert files.cat_file("package://never_import_me/a.csv") == b"x"
