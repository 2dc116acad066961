"""The routes of the rating page, all below /concept_guards/feedback. Names come from lists, sizes are limited, types are checked.

GET  .                             the sets: name, concept, number of pictures
GET  ./{set}                       the pictures, everyone's ratings, comparisons, agreement
GET  ./{set}/picture/{image}       a picture          GET ./{set}/thumbnail/{image}
GET  ./{set}/export                the set as a zip
POST ./{set}/ratings               application/json: image, rater, rating, id and for a comparison other
POST ./{set}/import[?replace=1]    application/zip: a new set of that name
"""

import asyncio
import functools
import json
import logging
import os
import tempfile

from aiohttp import web

from ..host import callers
from ..host.callers import PRIVATE, Refusal
from ..host.progress import running_server
from . import archive as feedback_zip
from . import host_sets as feedback_sets
from .agreement import agreement
from .ratings import ID, RATER, RATER_IN_BROWSERS, Entry, is_comparison, is_rating, is_set_name, now

PREFIX = "/concept_guards/feedback"
MOST_JSON = 4_096
FIELDS = {"image", "rater", "rating", "id", "other"}
KEPT = {**PRIVATE, "Cache-Control": "private, max-age=600"}
_thumbnails = asyncio.Semaphore(2)
_importing = asyncio.Semaphore(1)


def guarded(handler):
    """Let a handler see only calls that may be answered; answer refusals with JSON and one line in the log."""

    @callers.only_here(callers.RATING)
    @functools.wraps(handler)
    async def answer(request):
        try:
            return await handler(request)
        except ConnectionError:  # the caller has gone
            raise
        except OSError as error:
            logging.error("concept-guards: %s %.120s failed: %s", request.method, ascii(request.path), error)
            return web.json_response(
                {"error": f"the server could not read or write its files ({error.strerror or error})"},
                status=507,
                headers=PRIVATE,
            )

    return answer


def _set(request) -> str:
    """The folder of the set that a call names. Reads the disk, as what follows does: call it in a thread."""
    path = feedback_sets.folder(request.match_info["set"])
    if path is None:
        raise Refusal(404, "there is no such set")
    return path


def _picture(path: str, *images) -> None:
    """Refuses what is no picture of a set."""
    if not all(feedback_sets.has_picture(path, image) for image in images):
        raise Refusal(404, "there is no such picture")


@guarded
async def list_sets(request: web.Request) -> web.StreamResponse:
    """The user's sets by name: {"sets": [{set, pictures, concept, raters}]}."""

    def collect():
        found = []
        for name in feedback_sets.names():
            path = feedback_sets.folder(name)
            if path is not None:
                images, ratings = feedback_sets.pictures(path), feedback_sets.log(path).snapshot()
                found.append(
                    {
                        "set": name,
                        "pictures": len(images),
                        "concept": _concept(ratings, images),
                        "raters": ratings.raters(),
                    }
                )
        return found

    return web.json_response({"sets": await asyncio.to_thread(collect)}, headers=PRIVATE)


@guarded
async def show_set(request: web.Request) -> web.StreamResponse:
    """One set with everyone's ratings: {set, concept, raters, pictures, comparisons, agreement}; 404 where there is none."""

    def collect():
        path = _set(request)
        images, ratings = feedback_sets.pictures(path), feedback_sets.log(path).snapshot()
        given, agreed = ratings.by_image(), agreement(ratings.by_image())
        return {
            "set": request.match_info["set"],
            "concept": _concept(ratings, images),
            "raters": ratings.raters(),
            "rater_rule": RATER_IN_BROWSERS,
            "pictures": [
                {"image": image, "concept": _concept(ratings, [image]), "ratings": given.get(image, {})}
                for image in images
            ],
            "comparisons": [list(key) + [won] for key, won in ratings.compared.items()],
            "agreement": {"pictures": agreed.pictures, "alpha": agreed.alpha, "within_one": agreed.within_one},
        }

    return web.json_response(await asyncio.to_thread(collect), headers=PRIVATE)


def _concept(ratings, images) -> str:
    return next(
        (ratings.filed[image].concept for image in images if image in ratings.filed and ratings.filed[image].concept),
        "",
    )


@guarded
async def show_picture(request: web.Request) -> web.StreamResponse:
    """A picture of a set as it was filed, image/png; 404 for what is none."""

    def find():
        path, image = _set(request), request.match_info["image"]
        _picture(path, image)
        return os.path.join(path, image)

    return web.FileResponse(await asyncio.to_thread(find), headers={**KEPT, "Content-Type": "image/png"})


@guarded
async def show_thumbnail(request: web.Request) -> web.StreamResponse:
    """A picture, at most 256 pixels wide and high, image/jpeg; 404 for what is none, 422 for one that cannot be read."""

    def make():
        path, image = _set(request), request.match_info["image"]
        _picture(path, image)
        try:
            return feedback_sets.thumbnail(path, image)
        except ValueError as error:
            raise Refusal(422, "the picture cannot be read") from error

    async with _thumbnails:
        small = await asyncio.to_thread(make)
    return web.FileResponse(small, headers={**KEPT, "Content-Type": "image/jpeg"})


@guarded
async def rate(request: web.Request) -> web.StreamResponse:
    """One rating or comparison: {saved, new}. Answers when the line is on the disk. A line whose id is known is not written again: the
    page may ask twice."""
    body = await _json(request)
    if set(body) - FIELDS:
        raise Refusal(400, "the body holds unknown fields")
    rater, rating, key, image, other = (body.get(name) for name in ("rater", "rating", "id", "image", "other"))
    if not isinstance(rater, str) or not RATER.fullmatch(rater):
        raise Refusal(400, "rater must be 1 to 30 letters, digits, spaces and - _ . and start with a letter or digit")
    if not isinstance(key, str) or not ID.fullmatch(key):
        raise Refusal(400, "id must be 8 to 64 letters, digits and -")
    if "rating" not in body or not (is_rating(rating) if other is None else is_comparison(rating)):
        raise Refusal(
            400, "rating must be a whole number from 0 to 4, of a comparison 0, 0.5 or 1, or null to take it back"
        )
    if other is not None and image == other:
        raise Refusal(400, "a picture cannot be compared with itself")

    def write():
        path = _set(request)
        _picture(path, image, *(() if other is None else (other,)))
        assert isinstance(image, str)  # or _picture has refused it
        log = feedback_sets.log(path)
        filed = log.read().filed.get(image, Entry(image))
        entry = Entry(image, filed.prompt, filed.seed, filed.concept, rater, rating, now(), other or "", key)
        return log.append([entry])

    return web.json_response({"saved": True, "new": bool(await asyncio.to_thread(write))}, headers=PRIVATE)


async def _json(request) -> dict:
    if request.content_type != "application/json":
        raise Refusal(415, "the content type must be application/json")
    if (request.content_length or 0) > MOST_JSON:
        raise Refusal(413, f"the body is larger than {MOST_JSON} bytes")
    data = b""
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > MOST_JSON:
            raise Refusal(413, f"the body is larger than {MOST_JSON} bytes")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the body is no JSON object")
    return body


@guarded
async def export(request: web.Request) -> web.StreamResponse:
    """A set as a zip: its lines, and its pictures without any text."""
    path = await asyncio.to_thread(_set, request)
    with tempfile.TemporaryFile(dir=feedback_sets.base()) as file:
        images = await asyncio.to_thread(feedback_sets.pictures, path)
        await asyncio.to_thread(feedback_zip.pack, path, images, file)
        size = file.tell()
        file.seek(0)
        name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in request.match_info["set"])
        answer = web.StreamResponse(
            headers={
                **PRIVATE,
                "Content-Type": "application/zip",
                "Content-Length": str(size),
                "Content-Disposition": f'attachment; filename="{name}.zip"',
            }
        )
        await answer.prepare(request)
        while chunk := await asyncio.to_thread(file.read, 1 << 18):
            await answer.write(chunk)
        await answer.write_eof()
        return answer


@guarded
async def take_in(request: web.Request) -> web.StreamResponse:
    """A zip as a new set: {set, pictures, lines}; 409 where there is one of that name, 413 and 422 for a zip that is none of ours."""
    name, replace = request.match_info["set"], request.query.get("replace") == "1"
    if not is_set_name(name):
        raise Refusal(
            400, "the set's name must be 1 to 60 letters, digits and - _ . ( ) + and start with a letter or digit"
        )
    if set(request.query) - {"replace"}:
        raise Refusal(400, "the address holds unknown fields")
    if request.content_type != "application/zip":
        raise Refusal(415, "the content type must be application/zip")
    if (request.content_length or 0) > feedback_zip.MOST_BYTES:
        raise Refusal(413, f"the zip is larger than {feedback_zip.MOST_BYTES >> 20} MB")
    if not replace and await asyncio.to_thread(feedback_sets.folder, name) is not None:
        raise Refusal(409, "there is a set of that name: choose another name, or replace it")
    if _importing.locked():
        raise Refusal(429, "another import is going on: try again when it is done")
    async with _importing:
        await asyncio.to_thread(os.makedirs, feedback_sets.base(), exist_ok=True)
        with tempfile.TemporaryFile(dir=feedback_sets.base()) as file:
            size = 0
            async for chunk in request.content.iter_chunked(1 << 18):
                if size == 0 and chunk[:4] != b"PK\x03\x04"[: len(chunk)]:
                    raise Refusal(422, "this is no zip file")
                size += len(chunk)
                if size > feedback_zip.MOST_BYTES:
                    raise Refusal(413, f"the zip is larger than {feedback_zip.MOST_BYTES >> 20} MB")
                await asyncio.to_thread(file.write, chunk)
            try:
                return web.json_response(
                    await asyncio.to_thread(feedback_sets.take_in, name, file, replace), headers=PRIVATE
                )
            except feedback_zip.BadSet as error:
                raise Refusal(422, ascii(str(error))[1:-1]) from error
            except FileExistsError:
                raise Refusal(409, "there is a set of that name: choose another name, or replace it") from None
            except PermissionError:
                raise Refusal(
                    409, "a picture of the set is being looked at: close other pages that show it, and import it again"
                ) from None


def register(routes: web.RouteTableDef) -> None:
    """Add the routes to a table."""
    routes.get(PREFIX)(list_sets)
    routes.get(PREFIX + "/{set}")(show_set)
    routes.get(PREFIX + "/{set}/picture/{image}")(show_picture)
    routes.get(PREFIX + "/{set}/thumbnail/{image}")(show_thumbnail)
    routes.get(PREFIX + "/{set}/export")(export)
    routes.post(PREFIX + "/{set}/ratings")(rate)
    routes.post(PREFIX + "/{set}/import")(take_in)


def register_with_host() -> None:
    """Add them to the running server's, if there is one."""
    server = running_server()
    if server is not None:
        register(server.routes)


def tell_pages(name: str) -> None:
    """Open rating pages show what has just been filed."""
    server = running_server()
    if server is not None:
        server.send_sync("concept_guards.filed", {"set": name})
