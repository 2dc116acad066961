"""The number of weights in a GGUF file, from its head."""

import struct

import pytest

from tools.testing import hosting

gguf_header = hosting.module("guards.rewriters.gguf_header")


def text(words):
    return struct.pack("<Q", len(words)) + words.encode()


def field(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def head(version=3, tensors=((2, 3), (5,))):
    fields = [
        field("general.architecture", 8, text("llama")),
        field("general.size", 10, struct.pack("<Q", 7)),
        field("flags", 9, struct.pack("<IQ", 7, 3) + b"\0\1\0"),
        field("tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("bc")),
    ]
    rows = [
        text(f"t{number}") + struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + struct.pack("<IQ", 12, 0)
        for number, shape in enumerate(tensors)
    ]
    return b"GGUF" + struct.pack("<IQQ", version, len(rows), len(fields)) + b"".join(fields + rows)


def test_the_weights_of_all_tensors_are_counted(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(head() + b"\0" * 100)
    assert gguf_header.weights(str(path)) == 11


@pytest.mark.parametrize("data", [b"x", b"GGUF", b"PK\3\4" * 10, head(version=9), head()[:60], b"GGUF" + b"\xff" * 60])
def test_a_file_of_another_kind_is_refused(tmp_path, data):
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="no GGUF file"):
        gguf_header.weights(str(path))
