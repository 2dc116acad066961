"""The commands as a user types them."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from PIL import Image

PROJECT = Path(__file__).resolve().parent.parent.parent
LAUNCH = [sys.executable, str(PROJECT / "tools" / "setup" / "launch.py")]


def start(host_path, *arguments: str) -> subprocess.Popen:
    # Tests that run in the background of a shell ignore Ctrl-C, and so would what they start.
    listen = None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        [*LAUNCH, *arguments],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "CONCEPT_GUARDS_HOST": str(host_path), "PYTHONUNBUFFERED": "1"},
        preexec_fn=listen,
    )


def test_the_demo_writes_its_sheet(host_path, tmp_path):
    process = start(host_path, "tools.pictures.demo", "--output", str(tmp_path))
    said, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, said
    assert str(tmp_path / "before_after.png") in said
    for side in ("guard off", "guard on"):
        captions = re.search(rf"{side}, as the oracle sees it:\n((?:    \d+\. .*\n)+)", said)
        assert captions and len(captions[1].splitlines()) >= 8, said
        assert ("beer" in captions[1]) == (side == "guard off"), said
    with Image.open(tmp_path / "before_after.png") as sheet:
        assert sheet.width > 1500 and sheet.height > 500


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process there")
def test_serve_says_where_it_is_and_stops_cleanly_on_ctrl_c(host_path, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(host_path, "tools.serving.serve", "--port", str(port), "--folder", str(tmp_path), "--cpu")
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("* Open"):
                break
        assert f"http://127.0.0.1:{port}" in said, said
        with requests.Session() as session:
            session.trust_env = False
            assert "<html" in session.get(f"http://127.0.0.1:{port}/", timeout=30).text.lower()

        second = start(host_path, "tools.serving.serve", "--port", str(port), "--folder", str(tmp_path), "--cpu")
        told, _ = second.communicate(timeout=300)
        assert second.returncode == 1 and f"Port {port} cannot be used" in told and "Traceback" not in told

        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=300)
        assert process.returncode == 130 and "Traceback" not in rest, rest
        with socket.socket() as probe, pytest.raises(OSError):
            probe.connect(("127.0.0.1", port))
    finally:
        process.kill()


def test_a_missing_workflow_is_told_in_one_line(host_path):
    process = start(host_path, "tools.pictures.demo", "--workflow", "no_such_file.json")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "There is no workflow" in said and "Traceback" not in said
