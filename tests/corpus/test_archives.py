"""Packages and resource files as data: whole, hostile, cut off."""

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.corpus import archives
from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.rcc import resources

FILES = {"usr/share/a.txt": b"one", "usr/share/deep/b.txt": b"two" * 5000, "usr/share/c.bin": b""}


def test_a_deb_and_a_wheel_give_their_files(make, tmp_path):
    for path in (make.deb(tmp_path / "x_1_all.deb", FILES), make.wheel(tmp_path / "x-1-any.whl", FILES)):
        assert dict(members(path, "*")) == FILES
        assert dict(members(path, "*.txt")) == {k: v for k, v in FILES.items() if k.endswith("txt")}
        assert not dict(members(path, "*.png"))


def test_a_reader_may_stop_early(make, tmp_path):
    path = make.deb(tmp_path / "x_1_all.deb", {f"f{k}": bytes(100_000) for k in range(50)})
    assert next(members(path, "*"))[0] == "f0"


def test_no_name_of_a_package_is_a_path_here(make, below, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    hostile = [
        make.member("../../climbs.txt", b"x"),
        make.member("/absolute.txt", b"x"),
        make.member("link.txt", kind=tarfile.SYMTYPE, target="/etc/passwd"),
        make.member("hard.txt", kind=tarfile.LNKTYPE, target="/etc/passwd"),
        make.member("device.txt", kind=tarfile.CHRTYPE),
        make.member("pipe.txt", kind=tarfile.FIFOTYPE),
    ]
    path = make.deb(inside / "x_1_all.deb", hostile)
    # two are plain files under strange names; what links to this machine's files is not read
    assert [content for _, content in members(path, "*")] == [b"x", b"x"]
    assert below(tmp_path) == {"inside/x_1_all.deb"}


@pytest.mark.parametrize("kind", ["deb", "wheel"])
def test_a_damaged_package_is_named(make, tmp_path, kind):
    names = {"deb": "x_1_all.deb", "wheel": "x-1-any.whl"}
    path = getattr(make, kind)(tmp_path / names[kind], {"a": bytes(range(256)) * 1000})
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=path.name):
            list(members(path, "*"))


def test_a_huge_member_is_refused_unread(make, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER", 1000)
    for path in (
        make.deb(tmp_path / "x_1_all.deb", {"big": bytes(1001), "small": b"s"}),
        make.wheel(tmp_path / "x-1-any.whl", {"big": bytes(1001), "small": b"s"}),
    ):
        assert dict(members(path, "small")) == {"small": b"s"}
        with pytest.raises(ValueError, match="1001"):
            list(members(path, "big"))


TREE = {"a/b/c.txt": b"one", "a/b/d.webp": b"two" * 999, "a/e": b"", "f/ö.txt": b"three"}


@pytest.mark.parametrize("version", [2, 3])
def test_a_resource_file_gives_its_files(make, version):
    assert dict(resources(make.rcc(TREE, version))) == TREE


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_resource_files_are_refused_or_read_and_nothing_else(make, data):
    content = bytearray(make.rcc(TREE))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    held = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = list(resources(held))
    except ValueError:
        return
    assert all(".." not in path.split("/") and isinstance(data, bytes) for path, data in found)


def test_a_folder_that_holds_itself_ends(make):
    content = bytearray(make.rcc(TREE))
    content[24 + 10 : 24 + 14] = bytes(4)  # the root's first child is the root
    with pytest.raises(ValueError, match="before the folder"):
        list(resources(bytes(content)))


def test_another_format_is_refused(make):
    for wrong in (
        b"",
        b"qres",
        b"PK\x03\x04" + bytes(40),
        make.rcc(TREE).replace(b"qres\0\0\0\3", b"qres\0\0\0\1"),
    ):
        with pytest.raises(ValueError, match=r"expected b'qres'|damaged"):
            list(resources(wrong))
