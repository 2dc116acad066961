"""A set's zip: what comes in is checked, and what goes out holds no private text."""

import io
import json
import zipfile

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tools.testing import hosting

feedback_zip = hosting.module("guards.feedback.archive")
LINE = b'{"image":"a.png","prompt":"p","seed":1,"concept":"beer","rater":"ann","rating":3,"time":""}\n'


def png(text=None, size=(8, 8)):
    info, buffer = PngInfo(), io.BytesIO()
    if text:
        info.add_text("workflow", text)
    Image.new("RGB", size, (200, 10, 10)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in members:
            target.writestr(name, data)
    buffer.seek(0)
    return buffer


def test_a_set_comes_back_as_it_went_out_without_private_text(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "a.png").write_bytes(png("my private workflow"))
    (tmp_path / "here" / "ratings.jsonl").write_bytes(LINE)
    buffer = io.BytesIO()
    feedback_zip.pack(str(tmp_path / "here"), ["a.png"], buffer)
    assert b"private" not in buffer.getvalue()
    assert feedback_zip.unpack(buffer, str(tmp_path / "there")) == (1, 1)
    back = (tmp_path / "there" / "a.png").read_bytes()
    assert b"private" not in back and Image.open(io.BytesIO(back)).getpixel((0, 0)) == (200, 10, 10)
    assert json.loads((tmp_path / "there" / "ratings.jsonl").read_bytes())["rating"] == 3


@pytest.mark.parametrize(
    "members, complaint",
    [
        ([("ratings.jsonl", LINE), ("../a.png", png())], "plain names"),
        ([("ratings.jsonl", LINE), ("/etc/a.png", png())], "plain names"),
        ([("ratings.jsonl", LINE), ("C:\\a.png", png())], "plain names"),
        ([("ratings.jsonl", LINE), ("folder/a.png", png())], "plain names"),
        ([("ratings.jsonl", LINE), ("a.py", b"print()")], "plain names"),
        ([("ratings.jsonl", LINE), ("a.png", png()), ("A.png", png())], "same name"),
        ([("ratings.jsonl", LINE), ("a.png", b"GIF89a")], "no PNG"),
        ([("ratings.jsonl", LINE), ("a.png", png()[:-20])], "in the middle"),
        ([("ratings.jsonl", LINE), ("a.png", b"\x89PNG\r\n\x1a\n" + png()[33:])], "cannot be read"),
        ([("ratings.jsonl", LINE)], "no pictures"),
        ([("a.png", png())], "no feedback set"),
    ],
)
def test_a_zip_that_is_no_set_is_refused(tmp_path, members, complaint):
    with pytest.raises(feedback_zip.BadSet, match=complaint):
        feedback_zip.unpack(archive(members), str(tmp_path))
    assert not [path for path in tmp_path.parent.glob("*.png")]


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("a.png")
    link.external_attr = 0o120777 << 16
    with pytest.raises(feedback_zip.BadSet, match="ordinary file"):
        feedback_zip.unpack(archive([("ratings.jsonl", LINE), (link, b"/etc/passwd")]), str(tmp_path))


def test_bombs_are_refused_by_what_they_unpack_to(tmp_path, monkeypatch):
    monkeypatch.setattr(feedback_zip, "MOST_PICTURE_BYTES", 1 << 20)
    bomb = archive([("ratings.jsonl", LINE), ("a.png", b"\0" * (8 << 20))], zipfile.ZIP_DEFLATED)
    data = bytearray(bomb.getvalue())
    size = (8 << 20).to_bytes(4, "little")
    lie = bytes(data).replace(size, (100).to_bytes(4, "little"))  # a header that says the file is small
    for sent in (bytes(data), lie):
        with pytest.raises(feedback_zip.BadSet):
            feedback_zip.unpack(io.BytesIO(sent), str(tmp_path))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 << 20
        [path.unlink() for path in tmp_path.iterdir()]
    monkeypatch.setattr(feedback_zip, "MOST_PIXELS", 100)
    with pytest.raises(feedback_zip.BadSet, match="pixels"):
        feedback_zip.unpack(archive([("ratings.jsonl", LINE), ("a.png", png(size=(20, 20)))]), str(tmp_path))
    monkeypatch.setattr(feedback_zip, "MOST_FILES", 1)
    with pytest.raises(feedback_zip.BadSet, match="more than"):
        feedback_zip.unpack(archive([("ratings.jsonl", LINE), ("a.png", png())]), str(tmp_path))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x03\x04" + b"x" * 1000, b"hello"])
def test_damaged_zips_are_refused(tmp_path, data):
    with pytest.raises(feedback_zip.BadSet, match="no sound zip"):
        feedback_zip.unpack(io.BytesIO(data), str(tmp_path))


def test_an_encrypted_zip_is_refused(tmp_path):
    data = bytearray(archive([("ratings.jsonl", LINE), ("a.png", png())]).getvalue())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(signature, at + 1)
    with pytest.raises(feedback_zip.BadSet):
        feedback_zip.unpack(io.BytesIO(bytes(data)), str(tmp_path))


def test_lines_that_no_rater_can_have_written_do_not_come_in(tmp_path):
    lines = LINE + b'{"image":"../../x.png"}\nnonsense\n' + LINE.replace(b"3", b"9")
    assert feedback_zip.unpack(archive([("ratings.jsonl", lines), ("a.png", png())]), str(tmp_path)) == (1, 1)
