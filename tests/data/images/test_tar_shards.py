"""Tar shards: valid ones pass, and a member outside its folder raises an error."""

import io
import tarfile

import pytest

from hf_kexue.data.images import load_images
from hf_kexue.data.images.tar_shards import check_tar_shards


def write_shard(path, *names, kind=tarfile.REGTYPE):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as shard:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, 4 * (kind == tarfile.REGTYPE), "/etc/passwd"
            shard.addfile(member, io.BytesIO(b"data") if kind == tarfile.REGTYPE else None)


def test_whole_shards_pass(tmp_path):
    write_shard(tmp_path / "train" / "00000.tar", "0.png", "0.cls", "folder/1.png", "..png")
    check_tar_shards(tmp_path)


@pytest.mark.parametrize("name", ["../outside.png", "folder/../../outside.png", "/etc/cron.d/0.png"])
def test_a_member_that_leads_out_is_named(tmp_path, name):
    write_shard(tmp_path / "train-0.tar", "0.png", name)
    with pytest.raises(ValueError, match=r"train-0\.tar .*(outside|/etc)"):
        load_images(str(tmp_path), streaming=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train-0.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_named(tmp_path, kind):
    write_shard(tmp_path / "train-0.tar", "0.png", kind=kind)
    with pytest.raises(ValueError, match=r"train-0\.tar .*'0\.png'"):
        check_tar_shards(tmp_path)


@pytest.mark.parametrize("keep", [0, 700, 900])
def test_a_shard_that_is_cut_off_is_named(tmp_path, keep):
    shard = tmp_path / "train-0.tar"
    write_shard(shard, "0.png", "1.png")
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"train-0\.tar"):
        check_tar_shards(tmp_path)
