"""Files of a real Jupyter for people other than the owner: below the opened folder, whatever links and bodies say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h5py
import psutil
import pytest

from tests.session.notebook.conftest import Three, becomes, running, three_in


def names(model: Any) -> list[str]:
    return sorted(one["name"] for one in model["content"])


async def test_folders_are_listed_with_what_is_opened(three: Three) -> None:
    for who in (three.pierre, three.claude):
        assert names(await three.json(who, "GET", "api/contents")) == ["shared"]
        assert names(await three.json(who, "GET", "api/contents/shared")) == ["e1"]
        opened = names(await three.json(who, "GET", "api/contents/shared/e1"))
        assert opened == ["below", "one.h5", "one.ipynb", "one.txt", "within"]
        assert names(await three.json(who, "GET", "api/contents/shared/e1/within")) == []
        for closed in ("shared/e2", "mine", "data", "data/e1", "shared/e1/up", "shared/e1/up/mine"):
            assert await three.status(who, "GET", f"api/contents/{closed}") == 403, closed
    assert "mine" in names(await three.json(three.marie, "GET", "api/contents"))


async def test_who_only_looks_is_told_that_she_cannot_write(three: Three) -> None:
    folder = await three.json(three.pierre, "GET", "api/contents/shared/e1")
    assert {one["writable"] for one in [folder, *folder["content"]]} == {False}
    file = await three.json(three.pierre, "GET", "api/contents/shared/e1/one.ipynb?content=0&hash=1")
    assert file["writable"] is False
    assert (await three.json(three.claude, "GET", "api/contents/shared/e1/one.ipynb?content=0"))["writable"] is True
    whole = await three.json(three.pierre, "GET", "api/contents/shared/e1/one.ipynb")
    assert whole["content"]["cells"][0]["source"] == "6 * 7"


READS = (
    "api/contents/{}one.ipynb",
    "api/contents/{}one.txt?content=0",
    "api/contents/{}one.ipynb/checkpoints",
    "files/{}one.txt",
    "view/{}one.txt",
    "nbconvert/markdown/{}one.ipynb",
    "h5web/meta?file={}one.h5&path=/x",
    "h5web/data?file={}one.h5&path=/x",
    "h5web/attr?file={}one.h5&path=/x",
    "h5web/paths?file={}one.h5",
)


@pytest.mark.parametrize("path", READS)
async def test_reading_below_opened_folders_only(three: Three, path: str) -> None:
    for who in (three.pierre, three.claude):
        assert await three.status(who, "GET", path.format("shared/e1/")) == 200
        assert await three.status(who, "GET", path.format("shared/e1/up/shared/e1/")) == 200
        for closed in ("", "shared/e2/", "shared/e1/up/", "shared/e1/up/shared/e2/"):
            assert await three.status(who, "GET", path.format(closed)) == 403, closed
    assert await three.status(three.marie, "GET", path.format("")) == 200


@pytest.mark.parametrize("path", READS)
async def test_a_link_out_is_not_followed(three: Three, path: str) -> None:
    for who in (three.pierre, three.claude):
        assert await three.status(who, "GET", path.format("shared/e1/").replace("one.", "out.")) == 403


async def test_what_changes_after_it_was_opened(three: Three) -> None:
    one = three.place.opened / "turned.txt"
    one.write_text("harmless")
    assert await three.status(three.pierre, "GET", "files/shared/e1/turned.txt") == 200
    one.unlink()
    one.symlink_to(three.place.home / "one.txt")
    await becomes(lambda: three.status(three.pierre, "GET", "files/shared/e1/turned.txt"), 403)
    one.unlink()
    three.hub.share_as(folders=["home/mine"])
    await becomes(lambda: three.status(three.pierre, "GET", "api/contents/shared/e1"), 403)
    await becomes(lambda: three.status(three.pierre, "GET", "api/contents/mine"), 200)


async def test_who_works_there_too_changes_what_is_opened_and_nothing_else(three: Three) -> None:
    who, model = three.claude, {"type": "file", "format": "text", "content": "new"}
    for closed in ("shared/e2/", "", "mine/", "shared/e1/up/", "data/e1/"):
        for method in ("PUT", "DELETE", "PATCH"):
            body = {"path": "shared/e1/taken.txt"} if method == "PATCH" else model
            assert await three.status(who, method, f"api/contents/{closed}one.txt", json=body) == 403, (method, closed)
        assert await three.status(who, "POST", f"api/contents/{closed}", json={"type": "file"}) == 403
        copied = {"copy_from": f"{closed}one.txt"}
        assert await three.status(who, "POST", "api/contents/shared/e1", json=copied) == 403
        assert await three.status(who, "POST", f"api/contents/{closed}one.ipynb/checkpoints") == 403
    for target in (
        "moved.txt",
        "shared/e2/moved.txt",
        "shared/e1/up/moved.txt",
        "shared/e1/../../moved.txt",
        "shared/e1/out.txt",
    ):
        status = await three.status(who, "PATCH", "api/contents/shared/e1/one.txt", json={"path": target})
        assert status in (400, 403), target
    # Also what is at the edge: the link to the shared space, the opened folder's own name, a link's target.
    for path in ("shared", "shared/e1", "shared/e1/out.txt"):
        assert await three.status(who, "DELETE", f"api/contents/{path}") == 403
    assert await three.status(who, "PUT", "api/contents/shared/e1/out.txt", json=model) == 403
    assert (three.place.home / "one.txt").read_text() == f"of {three.place.home.name}"

    assert await three.status(who, "PUT", "api/contents/shared/e1/new.txt", json=model) == 201
    moved = await three.json(who, "PATCH", "api/contents/shared/e1/new.txt", json={"path": "/shared/e1/below/new.txt"})
    assert moved["path"] == "shared/e1/below/new.txt"
    copy = await three.json(who, "POST", "api/contents/shared/e1", json={"copy_from": "shared/e1/below/new.txt"})
    assert (three.place.shared.parent / copy["path"]).read_text() == "new"
    for path in ("shared/e1/below/new.txt", copy["path"]):
        assert await three.status(who, "DELETE", f"api/contents/{path}") == 204


@pytest.mark.parametrize(
    "body",
    [
        b'{"copy_from": "one.txt", "copy_from": "shared/e1/one.txt", "copy_from": "one.txt"}',
        b"[1]",
        b"{",
        b"x" * 70_000,
    ],
)
async def test_forged_bodies(three: Three, body: bytes) -> None:
    before = sorted(one.name for one in three.place.opened.iterdir())
    headers = {"Content-Type": "application/json"}
    status = await three.status(three.claude, "POST", "api/contents/shared/e1", data=body, headers=headers)
    assert status in (400, 403, 413)
    assert sorted(one.name for one in three.place.opened.iterdir()) == before


async def test_a_body_of_unknown_length_is_looked_at_as_well(three: Three) -> None:
    async def parts() -> Any:
        for part in json.dumps({"copy_from": "one.txt"}):
            yield part.encode()

    assert await three.status(three.claude, "POST", "api/contents/shared/e1", data=parts()) == 403


async def test_no_file_is_told_of_when_nobody_can_say_where_it_leads(three: Three) -> None:
    """A gateway whose environment has no files.py."""
    run = three.place.jupyter.run
    (run / "files.sock").rename(run / "away")
    try:
        await becomes(lambda: three.status(three.pierre, "GET", "files/shared/e1/one.txt"), 403)
        for path in ("api/contents", "api/contents/shared/e1", *(one.format("shared/e1/") for one in READS)):
            assert await three.status(three.claude, "GET", path) == 403, path
        assert await three.status(three.marie, "GET", "files/one.txt") == 200
    finally:
        (run / "away").rename(run / "files.sock")


async def test_the_desktop_s_file_panel_keeps_to_opened_folders(three: Three) -> None:
    url, query = "desktop/files/", "offset=0&size=1&upload=fedcba9876543210fedcba98&replace=1"
    for path in ("shared/e1/one.txt", "shared/e1/within?list=1"):
        assert await three.status(three.claude, "GET", url + path) == 200, path
    for path in (
        "home/one.txt",
        "home?list=1",
        "data?list=1",
        "shared/e2/one.txt",
        "shared/e1/out.txt",
        "shared/e1/up/one.txt",
    ):
        assert await three.status(three.claude, "GET", url + path) == 403, path
    shared = await three.json(three.claude, "GET", f"{url}shared?list=1")
    assert [one["name"] for one in shared["entries"]] == ["e1"]
    listed = await three.json(three.claude, "GET", f"{url}shared/e1?list=1")
    assert not {"out.txt", "up"} & {one["name"] for one in listed["entries"]}
    for path in ("home/new.txt", "shared/e2/new.txt", "shared/e1/up/new.txt", "shared/new.txt"):
        assert await three.status(three.claude, "PUT", f"{url}{path}?{query}", data=b"x") == 403, path
    assert await three.status(three.claude, "PUT", f"{url}shared/e1/new.txt?{query}", data=b"x") == 201
    (three.place.opened / "new.txt").unlink()
    assert await three.status(three.marie, "GET", f"{url}home/one.txt") == 200


async def test_layouts_are_the_owner_s(three: Three) -> None:
    layout = {"data": {"x": 1}, "metadata": {"id": "default"}}
    assert await three.status(three.marie, "PUT", "lab/api/workspaces/default", json=layout) == 204
    for who in (three.pierre, three.claude):
        empty = {"data": {}, "metadata": {"id": "default"}}
        assert await three.status(who, "PUT", "lab/api/workspaces/default", json=empty) == 204
        assert await three.status(who, "DELETE", "lab/api/workspaces/default") == 204
        assert await three.json(who, "GET", "lab/api/workspaces/default") == empty
        assert (await three.json(who, "GET", "lab/api/workspaces"))["workspaces"] == {"ids": [], "values": []}
    assert (await three.json(three.marie, "GET", "lab/api/workspaces/default"))["data"] == {"x": 1}


LEADING_OUT = ("/link", "/soft", "/inner/x", "/inner", "/raw", "/whole", "/whole_by_link")
OWN_NAMES = ("/raw", "/whole", "/whole_by_link")
"""Only their data come from elsewhere."""


def leading_out(three: Three) -> None:
    """A file in the opened folder, as anybody of the team may put one there, that takes what it shows from others."""
    home = three.place.home
    (home / "secret.txt").write_text("secret!!")
    with h5py.File(three.place.opened / "leads.h5", "w") as file:
        file["own"] = [4, 5]
        file["link"] = h5py.ExternalLink(str(home / "one.h5"), "/x")
        file["inner"] = h5py.ExternalLink(str(home / "one.h5"), "/")
        file["soft"] = h5py.SoftLink("/inner/x")
        file["alias"] = h5py.SoftLink("/own")
        file.create_dataset("raw", (8,), "u1", external=[(str(home / "secret.txt"), 0, 8)])
        for name, source in (
            ("whole", h5py.VirtualSource(str(home / "one.h5"), "x", (3,))),
            ("whole_by_link", h5py.VirtualSource(".", "/link", (3,))),
        ):
            layout = h5py.VirtualLayout((3,), "i8")
            layout[:] = source
            file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("path", LEADING_OUT)
async def test_an_hdf5_file_shows_nothing_of_files_that_are_not_opened(three: Three, path: str) -> None:
    leading_out(three)
    address = f"h5web/{{}}?file=shared/e1/leads.h5&path={path}"
    assert await three.status(three.marie, "GET", address.format("data") + "&format=json") in (200, 422)
    for who in (three.pierre, three.claude):
        assert await three.status(who, "GET", address.format("data") + "&format=json") >= 400
        if path not in OWN_NAMES:
            assert await three.status(who, "GET", address.format("attr")) >= 400
            async with who.get(three.url + address.format("meta")) as answer:
                assert answer.status >= 400 or "shape" not in await answer.text()


async def test_an_hdf5_file_s_own_content_and_links_are_shown(three: Three) -> None:
    leading_out(three)
    address = "h5web/{}?file=shared/e1/leads.h5&path=/{}"
    for who in (three.marie, three.pierre, three.claude):
        assert await three.json(who, "GET", address.format("data", "alias&format=json")) == [4, 5]
        about = await three.json(who, "GET", address.format("meta", ""))
        kinds = {one["name"]: one["kind"] for one in about["children"]}
        assert (kinds["own"], kinds["alias"]) == ("dataset", "dataset")
        assert (kinds["link"] == "external_link") == (who is not three.marie)
        assert (kinds["soft"] == "soft_link") == (who is not three.marie)
        assert await three.status(who, "GET", address.format("paths", "")) == 200


def readers(jupyter: psutil.Process) -> list[psutil.Process]:
    """Of HDF5 files."""
    found = jupyter.children(recursive=True)
    return [one for one in found if any("hdf5_reader" in part for part in one.cmdline())]


async def test_hdf5_is_loaded_by_the_first_question_whoever_asks_and_never_by_jupyter() -> None:
    """It takes a fifth of Jupyter's start, and memory; and nobody is answered before the rules hold."""
    with running() as place:
        async with three_in(place) as three:
            leading_out(three)
            jupyter = psutil.Process(three.place.jupyter.process.pid)
            address = "h5web/data?file=shared/e1/leads.h5&format=json&path=/"
            asked = [("own", 200), ("inner/x", None), ("own", 200), ("link", None)]
            answers = await asyncio.gather(
                *(three.status(three.pierre, "GET", address + path) for path, _wanted in asked)
            )
            for (path, wanted), status in zip(asked, answers, strict=True):
                assert status == wanted if wanted else status >= 400, (path, status)
            assert not any("h5py" in one.path for one in jupyter.memory_maps())
            (reader,) = readers(jupyter)
            assert any("h5py" in one.path for one in reader.memory_maps())
            assert await three.status(three.marie, "PUT", address, data=b"x" * 100_000) == 405


async def test_no_script_stays_in_the_browser(three: Three) -> None:
    """A service worker that a collaborator left would act as the owner when he is long gone."""
    for who in (three.marie, three.pierre):
        assert await three.status(who, "GET", "files/shared/e1/one.txt") == 200
        worker = {"Service-Worker": "script"}
        assert await three.status(who, "GET", "files/shared/e1/one.txt", headers=worker) == 403
