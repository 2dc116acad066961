"""The rating page's routes in a real aiohttp application: what they do, and everything they refuse."""

import asyncio
import io
import json
import logging
import socket
import zipfile

import pytest
import torch

from tools.testing import hosting

pytestmark = pytest.mark.both_hosts
PLACE = "/concept_guards/feedback"


class Caller:
    """An application with the routes, on a port of this machine, and a client; both in one loop."""

    def __init__(self, routes):
        self.loop = asyncio.new_event_loop()
        self.routes = routes

    def start(self):
        from aiohttp import ClientSession, web

        table = web.RouteTableDef()
        self.routes.register(table)
        application = web.Application(client_max_size=1 << 30)
        application.add_routes(table)

        async def begin():
            self.runner = web.AppRunner(application)
            await self.runner.setup()
            await web.TCPSite(self.runner, "127.0.0.1", 0).start()
            self.port = self.runner.addresses[0][1]
            self.session = ClientSession()

        self.loop.run_until_complete(begin())

    def stop(self):
        self.loop.run_until_complete(self.session.close())
        self.loop.run_until_complete(self.runner.cleanup())
        left = asyncio.all_tasks(self.loop)  # of callers that were hung up on
        [task.cancel() for task in left]
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    async def ask(self, method, path, **options):
        from yarl import URL

        async with self.session.request(
            method, URL(f"http://127.0.0.1:{self.port}{path}", encoded=True), **options
        ) as reply:
            return reply.status, await reply.read(), reply.headers

    def __call__(self, method, path, **options):
        return self.loop.run_until_complete(self.ask(method, path, **options))

    def get(self, path, **options):
        status, data, _ = self("GET", path, **options)
        return status, json.loads(data)

    def rate(self, **body):
        body = {"rater": "ann", "id": "identity-1", **body}
        status, data, _ = self("POST", f"{PLACE}/beers/ratings", json=body)
        return status, json.loads(data)


@pytest.fixture(scope="module")
def sets(host):
    return hosting.module("guards.feedback.host_sets")


@pytest.fixture(scope="module")
def caller(host):
    found = Caller(hosting.module("guards.feedback.host_routes"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def images(user, sets):
    """A set "beers" of four pictures."""
    pictures = torch.rand(4, 16, 16, 3, generator=torch.Generator().manual_seed(1))
    return sets.file_images(pictures, "a private prompt", "beer", "beers", 5)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_rating_is_on_the_disk_when_the_page_hears_of_it(caller, images, user):
    assert caller.rate(image=images[0], rating=3) == (200, {"saved": True, "new": True})
    line = json.loads((user / "concept_guards/feedback/beers/ratings.jsonl").read_text().splitlines()[-1])
    assert (line["image"], line["rating"], line["rater"], line["seed"], line["concept"]) == (
        images[0],
        3,
        "ann",
        5,
        "beer",
    )
    assert caller.rate(image=images[0], rating=3)[1]["new"] is False, "the same id is written once"
    caller.rate(image=images[0], other=images[1], rating=0.5, id="identity-2")
    caller.rate(image=images[2], rating=1, rater="Zoë", id="identity-3")
    caller.rate(image=images[2], rating=None, rater="Zoë", id="identity-4")
    status, state = caller.get(f"{PLACE}/beers")
    assert [picture["image"] for picture in state["pictures"]] == images
    assert [picture["ratings"] for picture in state["pictures"]] == [{"ann": 3}, {}, {}, {}]
    assert len(state["comparisons"]) == 1 and state["raters"] == ["ann"] and state["concept"] == "beer"
    assert state["rater_rule"].startswith(r"[\p{L}\p{N}]"), "the page judges nicknames by the server's rule"
    assert "private" not in json.dumps(state), "raters do not see the prompt"
    assert caller.get(PLACE)[1]["sets"] == [{"set": "beers", "pictures": 4, "concept": "beer", "raters": ["ann"]}]


def test_pictures_and_thumbnails_are_served_and_no_other_page_can_show_them(caller, images, user):
    status, data, headers = caller("GET", f"{PLACE}/beers/picture/{images[0]}")
    assert (
        status == 200 and data.startswith(b"\x89PNG") and b"tEXt" not in data and headers["Content-Type"] == "image/png"
    )
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cross-Origin-Resource-Policy"] == "same-origin"
    made = []
    for _ in range(2):
        status, data, _ = caller("GET", f"{PLACE}/beers/thumbnail/{images[0]}")
        assert status == 200 and data.startswith(b"\xff\xd8\xff")
        made.append((user / "concept_guards/feedback/beers/.thumbnails" / f"{images[0][:-4]}.jpg").stat().st_mtime_ns)
    assert made[0] == made[1], "a thumbnail is made once"


BAD = [
    ("GET", f"{PLACE}/unknown", {}, 404),
    ("GET", f"{PLACE}/..", {}, 404),
    ("GET", f"{PLACE}/..%2F..%2Fsecret", {}, 404),
    ("GET", f"{PLACE}/.hidden", {}, 404),
    ("GET", f"{PLACE}/link", {}, 404),
    ("GET", f"{PLACE}/beers/picture/..%2F..%2F..%2Fsecret.png", {}, 404),
    ("GET", f"{PLACE}/beers/picture/..%5Csecret.png", {}, 404),
    ("GET", f"{PLACE}/beers/picture/%2Fetc%2Fpasswd", {}, 404),
    ("GET", f"{PLACE}/beers/picture/ratings.jsonl", {}, 404),
    ("GET", f"{PLACE}/beers/picture/link.png", {}, 404),
    ("GET", f"{PLACE}/beers/picture/a%00.png", {}, 404),
    ("GET", f"{PLACE}/beers/thumbnail/..%2Fsecret.png", {}, 404),
    ("GET", f"{PLACE}/beers/thumbnail/broken.png", {}, 422),
    ("GET", f"{PLACE}/unknown/export", {}, 404),
    (
        "POST",
        f"{PLACE}/unknown/ratings",
        {"json": {"image": "a.png", "rater": "ann", "rating": 1, "id": "12345678"}},
        404,
    ),
    ("POST", f"{PLACE}/beers/ratings", {"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
    ("POST", f"{PLACE}/beers/ratings", {"data": {"image": "a.png"}}, 415),
    ("POST", f"{PLACE}/beers/ratings", {"data": b"nonsense", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", f"{PLACE}/beers/ratings", {"data": b"[" * 4000, "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", f"{PLACE}/beers/ratings", {"json": [1]}, 400),
    ("POST", f"{PLACE}/beers/ratings", {"json": {"padding": "x" * 5000}}, 413),
    ("POST", f"{PLACE}/beers/import", {"data": b"PK", "headers": {"Content-Type": "application/zip"}}, 409),
    ("POST", f"{PLACE}/other/import", {"data": b"PK", "headers": {"Content-Type": "application/json"}}, 415),
    ("POST", f"{PLACE}/other/import", {"data": b"hello", "headers": {"Content-Type": "application/zip"}}, 422),
    ("POST", f"{PLACE}/other/import", {"data": b"", "headers": {"Content-Type": "application/zip"}}, 422),
    ("POST", f"{PLACE}/other/import?x=1", {"data": b"PK", "headers": {"Content-Type": "application/zip"}}, 400),
    ("POST", f"{PLACE}/..%2Fother/import", {"data": b"PK", "headers": {"Content-Type": "application/zip"}}, 400),
    ("POST", f"{PLACE}/con/import", {"data": b"PK", "headers": {"Content-Type": "application/zip"}}, 400),
]
GOOD = dict(rater="ann", rating=1, id="identity-9")
BAD += [
    ("POST", f"{PLACE}/beers/ratings", {"json": {**GOOD, "image": "IMAGE", **change}}, status)
    for change, status in [
        ({"rating": 5}, 400),
        ({"rating": -1}, 400),
        ({"rating": True}, 400),
        ({"rating": "3"}, 400),
        ({"rating": 1.5}, 400),
        ({"rating": [1]}, 400),
        ({"rating": float("nan")}, 400),
        ({"rating": float("inf")}, 400),
        ({"rater": ""}, 400),
        ({"rater": "a\nb"}, 400),
        ({"rater": "x" * 31}, 400),
        ({"rater": None}, 400),
        ({"rater": {"a": 1}}, 400),
        ({"rater": "<b>"}, 400),
        ({"id": "short"}, 400),
        ({"id": 7}, 400),
        ({"id": "x" * 65}, 400),
        ({"time": "now"}, 400),
        ({"seed": 1}, 400),
        ({"image": "unknown.png"}, 404),
        ({"image": "../secret.png"}, 404),
        ({"image": None}, 404),
        ({"image": 1}, 404),
        ({"image": "link.png"}, 404),
        ({"other": "unknown.png"}, 404),
        ({"other": "IMAGE"}, 400),
        ({"other": "", "rating": 1}, 404),
        ({"other": 7}, 404),
        ({"other": "IMAGE", "rating": 3}, 400),
    ]
]


@pytest.mark.parametrize("method, path, options, status", BAD, ids=range(len(BAD)))
def test_hostile_calls_are_refused_in_one_line_and_nothing_is_written(
    caller, images, user, sets, caplog, method, path, options, status
):
    (user / "secret.png").write_bytes(b"secret")
    beers = user / "concept_guards" / "feedback" / "beers"
    (beers / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    try:
        (beers / "link.png").symlink_to(user / "secret.png")
        (beers.parent / "link").symlink_to(user)
    except OSError:  # Windows without the right to make links
        pass
    if "json" in options and isinstance(options["json"], dict):
        options = {"json": {key: images[0] if value == "IMAGE" else value for key, value in options["json"].items()}}
    before = tree(user)
    with caplog.at_level(logging.WARNING):
        found, data, headers = caller(method, path, **options)
    assert found == status, data
    assert b"secret" not in data and json.loads(data)["error"]
    assert {key: value for key, value in tree(user).items() if key not in before} == {} and tree(user) == before
    lines = [record.getMessage() for record in caplog.records if "concept-guards" in record.getMessage()]
    assert len(lines) == 1 and "\n" not in lines[0], lines


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "192.168.1.5"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", PLACE),
        ("GET", f"{PLACE}/beers"),
        ("GET", f"{PLACE}/beers/picture/IMAGE"),
        ("GET", f"{PLACE}/beers/thumbnail/IMAGE"),
        ("GET", f"{PLACE}/beers/export"),
        ("POST", f"{PLACE}/beers/ratings"),
        ("POST", f"{PLACE}/new/import"),
    ],
)
def test_other_sites_and_other_names_are_refused_everywhere(caller, images, user, caplog, headers, method, path):
    before = tree(user)
    with caplog.at_level(logging.WARNING):
        status, data, _ = caller(method, path.replace("IMAGE", images[0]), headers=headers)
    assert status == 403 and len(caplog.records) == 1
    assert tree(user) == before


def test_the_page_of_this_server_may_call(caller, images):
    headers = {"Origin": f"http://127.0.0.1:{caller.port}", "Sec-Fetch-Site": "same-origin"}
    assert caller.get(PLACE, headers=headers)[0] == 200
    assert caller.get(PLACE, headers={"Host": f"localhost:{caller.port}", "Sec-Fetch-Site": "none"})[0] == 200


class Request:
    """As much of a request as the check looks at, from another machine."""

    def __init__(self, peer, host="127.0.0.1:8188", **headers):
        self.headers, self.transport = {"Host": host, **headers}, self
        self.peer = peer

    def get_extra_info(self, name):
        return (self.peer, 40000)


@pytest.mark.parametrize(
    "peer", ["192.168.1.20", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "", "localhost.evil.example"]
)
def test_other_machines_are_refused_unless_the_operator_says_otherwise(user, host, peer):
    callers = hosting.module("guards.host.callers")
    with pytest.raises(callers.Refusal, match="another machine"):
        callers.check(Request(peer), callers.RATING)
    settings = user / "concept_guards" / "settings.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    for text in ("{", "[]", '{"rating_from_other_machines": "yes"}', '{"rating_from_other_machines": 1}', "[" * 90_000):
        settings.write_text(text)
        with pytest.raises(callers.Refusal):
            callers.check(Request(peer), callers.RATING)
    settings.write_text('{"rating_from_other_machines": true}', encoding="utf-8-sig")
    callers.check(Request(peer, "studio.example:8188", Origin="http://studio.example:8188"), callers.RATING)
    with pytest.raises(callers.Refusal, match="another site"):
        callers.check(Request(peer, "studio.example:8188", Origin="http://evil.example"), callers.RATING)
    with pytest.raises(callers.Refusal, match="another machine$"):
        callers.check(Request(peer))  # the record of decisions, an endpoint's models: no switch opens them


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.5.5.5", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_known_by_all_its_addresses(user, peer):
    hosting.module("guards.host.callers").check(Request(peer))


def test_a_body_of_100_megabytes_is_refused_without_being_kept(caller, images, user):
    async def flood():
        for _ in range(100):
            yield b"{" * (1 << 20)

    before = tree(user)
    for kind, path in (("application/json", f"{PLACE}/beers/ratings"), ("application/zip", f"{PLACE}/big/import")):
        try:
            status, _, _ = caller("POST", path, data=flood(), headers={"Content-Type": kind})
            assert status in (413, 422)
        except (ConnectionError, OSError):  # the server may hang up on a caller that goes on talking
            pass
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {5 << 30}\r\n\r\n".encode()

        async def announce(head=head):
            reader, writer = await asyncio.open_connection("127.0.0.1", caller.port)
            writer.write(head)
            line = await reader.readline()
            writer.close()
            return line

        assert b" 413 " in caller.loop.run_until_complete(announce()), "refused at the announcement"
    assert tree(user) == before


def test_many_raters_at_once_lose_nothing(caller, images, user):
    async def work(rater):
        for index, image in enumerate(images):
            status, _, _ = await caller.ask(
                "POST",
                f"{PLACE}/beers/ratings",
                json={"image": image, "rater": f"r{rater}", "rating": (index + rater) % 5, "id": f"{rater:08}-{index}"},
            )
            assert status == 200

    async def everyone():
        await asyncio.gather(*(work(rater) for rater in range(20)))

    caller.loop.run_until_complete(everyone())
    _, state = caller.get(f"{PLACE}/beers")
    expected = [{f"r{rater}": (index + rater) % 5 for rater in range(20)} for index in range(4)]
    assert [picture["ratings"] for picture in state["pictures"]] == expected
    assert len((user / "concept_guards/feedback/beers/ratings.jsonl").read_text().splitlines()) == 84


def test_a_set_travels_as_a_zip_and_is_never_overwritten_unasked(caller, images, user):
    caller.rate(image=images[0], rating=4)
    status, data, headers = caller("GET", f"{PLACE}/beers/export")
    assert status == 200 and "attachment" in headers["Content-Disposition"]
    assert sorted(zipfile.ZipFile(io.BytesIO(data)).namelist()) == sorted([*images, "ratings.jsonl"])
    options = {"data": data, "headers": {"Content-Type": "application/zip"}}
    status, answer, _ = caller("POST", f"{PLACE}/copy/import", **options)
    assert status == 200 and json.loads(answer) == {"set": "copy", "pictures": 4, "lines": 5}
    assert caller.get(f"{PLACE}/copy")[1]["pictures"] == caller.get(f"{PLACE}/beers")[1]["pictures"]
    caller("POST", f"{PLACE}/copy/ratings", json={"image": images[1], "rater": "bob", "rating": 2, "id": "identity-7"})
    assert caller("POST", f"{PLACE}/copy/import", **options)[0] == 409
    assert caller.get(f"{PLACE}/copy")[1]["raters"] == ["ann", "bob"]
    assert caller("POST", f"{PLACE}/copy/import?replace=1", **options)[0] == 200
    assert caller.get(f"{PLACE}/copy")[1]["raters"] == ["ann"], "the log in memory is that of the new set"
    aside = [path for path in (user / "concept_guards/feedback").iterdir() if path.name.startswith(".replaced-copy")]
    assert len(aside) == 1 and "bob" in (aside[0] / "ratings.jsonl").read_text(), "what was replaced is kept"
    assert [found["set"] for found in caller.get(PLACE)[1]["sets"]] == ["beers", "copy"]
    before = tree(user)
    bad = io.BytesIO()
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("ratings.jsonl", b"")
        archive.writestr("../escaped.png", data)
    status, answer, _ = caller(
        "POST", f"{PLACE}/bad/import", data=bad.getvalue(), headers={"Content-Type": "application/zip"}
    )
    assert status == 422 and "escaped" in json.loads(answer)["error"] and tree(user) == before


def test_a_set_that_cannot_be_replaced_stays_where_it_was(caller, images, user, monkeypatch):
    """What has been unpacked cannot be moved in, as where a virus scanner is still reading it."""
    caller.rate(image=images[0], rating=4)
    status, data, _ = caller("GET", f"{PLACE}/beers/export")
    before, files = tree(user), hosting.module("guards.files")
    rename = files.rename

    def refuse(source, target):
        if ".arriving-" in str(source):
            raise PermissionError(13, "in use")
        rename(source, target)

    monkeypatch.setattr(files, "rename", refuse)
    options = {"data": data, "headers": {"Content-Type": "application/zip"}}
    status, answer, _ = caller("POST", f"{PLACE}/beers/import?replace=1", **options)
    assert status == 409 and "close other pages" in json.loads(answer)["error"] and tree(user) == before
    monkeypatch.undo()
    assert caller("POST", f"{PLACE}/beers/import?replace=1", **options)[0] == 200


def test_a_server_that_speaks_no_sense_to_us_is_not_needed(caller):
    """A raw caller without a Host, as scanners send: refused, not a crash."""
    with socket.create_connection(("127.0.0.1", caller.port)) as raw:
        raw.sendall(f"GET {PLACE} HTTP/1.0\r\n\r\n".encode())
        answer = caller.loop.run_until_complete(caller.loop.run_in_executor(None, raw.recv, 200))
        assert b" 403 " in answer
