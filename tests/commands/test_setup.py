"""Set-up fails with one clear message, and never leaves something half-made behind."""

import io
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tools import PROJECT
from tools.serving import server
from tools.setup import cache, environment, host, process


def archive(path: Path, names: dict[str, bytes | None]) -> Path:
    """A source archive with files, or symbolic links where the content is None."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def test_only_the_host_is_unpacked_and_links_are_left_out(tmp_path):
    file = archive(
        tmp_path / "a.tar.gz",
        {
            "x-1/vendor/ComfyUI/main.py": b"1",
            "x-1/vendor/ComfyUI/a/b.py": b"2",
            "x-1/setup.py": b"3",
            "x-1/vendor/other/c.py": b"4",
            "x-1/vendor/ComfyUI/link": None,
        },
    )
    host.extract(file, tmp_path / "out")
    found = sorted(
        str(p.relative_to(tmp_path / "out").as_posix()) for p in (tmp_path / "out").rglob("*") if not p.is_dir()
    )
    assert found == ["a/b.py", "main.py"]


@pytest.mark.parametrize("name", ["../../../evil.py", "a\\..\\evil.py", "C:/evil.py"])
def test_an_archive_cannot_write_outside_its_folder(tmp_path, name):
    file = archive(tmp_path / "a.tar.gz", {f"x-1/vendor/ComfyUI/{name}": b"1", "x-1/vendor/ComfyUI/main.py": b"1"})
    with pytest.raises(cache.SetupError, match="unsafe path"):
        host.extract(file, tmp_path / "deep" / "deeper" / "out")
    assert not list(tmp_path.rglob("*evil*"))


def test_a_changed_archive_is_refused(tmp_path):
    file = archive(tmp_path / "a.tar.gz", {"x-1/vendor/ComfyUI/main.py": b"1"})
    with pytest.raises(cache.SetupError, match="not the expected one"):
        host.check(file, host.CURRENT)


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("CONCEPT_GUARDS_CACHE", str(tmp_path / "here"))
    assert cache.open_cache() == tmp_path / "here" and (tmp_path / "here").is_dir()
    monkeypatch.delenv("CONCEPT_GUARDS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache.cache_folder().name == "concept-guards"


def test_a_cache_folder_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("CONCEPT_GUARDS_CACHE", str(tmp_path / "file"))
    with pytest.raises(cache.SetupError, match="cannot be written to.*\n.*CONCEPT_GUARDS_CACHE"):
        cache.open_cache()


def test_a_full_disk_is_noticed_before_the_download(tmp_path):
    with pytest.raises(cache.SetupError, match="No room for it.*GB are needed"):
        cache.need_space(tmp_path, 1e9, "it")


def test_scratch_folders_vanish_even_after_an_error(tmp_path):
    with pytest.raises(ValueError):
        with cache.scratch(tmp_path, "x") as place:
            (place / "half").write_text("made")
            raise ValueError
    assert not list(tmp_path.iterdir())


def test_what_a_killed_set_up_left_is_swept_and_nothing_else(tmp_path):
    (tmp_path / (cache.PARTIAL + "pip-123")).mkdir()
    (tmp_path / "venv-other").mkdir()
    cache.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["venv-other"]


HOLD = """
import sys
from pathlib import Path
from tools.setup import cache
with cache.only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_set_ups_at_once_take_turns(tmp_path, monkeypatch):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    said = []

    def let_go(text):
        said.append(text)
        other.stdin.close()

    monkeypatch.setattr(cache, "say", let_go)
    with cache.only_one(tmp_path):
        assert len(said) == 1 and "waiting" in said[0]
    assert other.wait(30) == 0


@pytest.mark.parametrize(
    "user, has_apt, said",
    [
        (0, True, r"\n    apt-get install python3\.\d+-venv$"),
        (1000, True, r"\n    sudo apt-get install python3\.\d+-venv$"),
        (1000, False, "Install the venv and pip packages of your system"),
    ],
)
def test_what_only_the_system_can_install_is_told_and_not_installed(monkeypatch, tmp_path, user, has_apt, said):
    def ran(command, *_, **__):
        raise AssertionError(f"set-up ran {command}")

    monkeypatch.setattr(environment, "_has", lambda module: False)
    monkeypatch.setattr(environment, "run_logged", ran)
    monkeypatch.setattr(environment.subprocess, "run", ran)
    monkeypatch.setattr(environment.os, "geteuid", lambda: user, raising=False)
    monkeypatch.setattr(environment.shutil, "which", lambda name: f"/usr/bin/{name}" if has_apt else None)
    with pytest.raises(cache.SetupError, match=said):
        environment._create(tmp_path / "venv", tmp_path)


def test_an_environment_without_its_stamp_is_not_ready(tmp_path):
    (tmp_path / "bin").mkdir()
    assert not environment.venv_ready(tmp_path)


def test_a_failed_command_shows_the_end_of_its_output(tmp_path):
    code = "print('one'); print('No matching distribution found for torch'); raise SystemExit(3)"
    with pytest.raises(process.CommandFailed, match="No matching distribution.*\n.*log\n.*Python 3.10 to 3.13"):
        process.run_logged([sys.executable, "-c", code], "Trying", tmp_path / "log")
    assert "one" in (tmp_path / "log").read_text()


def test_comfyui_path_must_be_a_comfyui(monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(cache.SetupError, match="no ComfyUI"):
        host.users_checkout()


def test_a_checkout_whose_python_has_no_torch_is_told(monkeypatch, tmp_path):
    monkeypatch.delenv("COMFYUI_PYTHON", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(environment.subprocess, "run", lambda *a, **k: type("Done", (), {"returncode": 1}))
    with pytest.raises(cache.SetupError, match="COMFYUI_PYTHON"):
        environment.own_python(tmp_path)


def test_an_occupied_port_is_told_before_the_host_starts(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(server.ServerError, match=f"Port {port} cannot be used"):
            server.Server(Path(sys.executable), tmp_path, tmp_path / "base", port=port).start()


def test_a_host_that_dies_shows_its_log(tmp_path):
    (tmp_path / "main.py").write_text("print('something is missing'); raise SystemExit(1)")
    with pytest.raises(server.ServerError, match="(?s)ended while starting.*something is missing"):
        with server.Server(Path(sys.executable), tmp_path, tmp_path / "base", with_pack=False):
            pass


@pytest.mark.parametrize("links", [True, False])
def test_only_what_is_shipped_gets_into_custom_nodes(tmp_path, monkeypatch, links):
    from tools.serving import pack

    def refuse(*_, **__):
        raise OSError("links need rights here")

    if not links:
        monkeypatch.setattr(pack.os, "symlink", refuse)
    for _ in range(2):  # again over what is there
        placed = pack.place(tmp_path / "custom_nodes")
    assert placed.name == "concept-guards" and not placed.is_symlink()
    assert (placed / "pyproject.toml").read_bytes() == (pack.PROJECT / "pyproject.toml").read_bytes()
    assert {path.name for path in placed.iterdir()} <= set(pack.SHIPPED)
    assert pack.PROJECT.joinpath("guards").is_dir()
