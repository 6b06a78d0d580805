"""Which files a request names, in address, query and body."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.instances.members import opened
from visa.session.notebook.folders import leads_to
from visa.session.notebook.requests import Asked, Unclear, asked, clear, rewritten, shown


@pytest.mark.parametrize(
    ("method", "path", "query", "wanted"),
    [
        ("GET", "api/contents", "", Asked(("",))),
        ("GET", "api/contents/", "", Asked(("",))),
        ("GET", "api/contents/shared/e1/x.ipynb", "content=1", Asked(("shared/e1/x.ipynb",))),
        ("PUT", "api/contents/shared/x", "", Asked(("shared/x",))),
        ("POST", "api/contents/shared", "", Asked(("shared",), body=True)),
        ("PATCH", "api/contents/shared/x", "", Asked(("shared/x",), body=True)),
        ("POST", "api/contents/a/x/checkpoints", "", Asked(("a/x/checkpoints", "a/x"))),
        ("DELETE", "api/contents/a/x/checkpoints/1-2", "", Asked(("a/x/checkpoints/1-2", "a/x"))),
        ("POST", "api/contents/a/x/trust", "", Asked(("a/x/trust", "a/x"))),
        ("POST", "api/contents/checkpoints", "", Asked(("checkpoints", ""))),
        ("GET", "files/shared/x", "", Asked(("shared/x",))),
        ("GET", "view/shared/x.html", "", Asked(("shared/x.html",))),
        ("GET", "nbconvert/html/shared/x.ipynb", "", Asked(("shared/x.ipynb",))),
        ("POST", "nbconvert/html", "", None),
        ("PUT", "api/collaboration/session/shared/x", "", Asked(("shared/x",), body=True)),
        ("GET", "api/collaboration/timeline/shared/x", "", Asked(("shared/x",))),
        (
            "GET",
            "h5web/data",
            "file=shared/x.h5&path=/a%20b",
            Asked(("shared/x.h5",), query="file=shared%2Fx.h5&path=%2Fa+b"),
        ),
        ("POST", "api/fileid/index", "path=shared/x%20y", Asked(("shared/x y",), query="path=shared%2Fx+y", bare=True)),
        ("GET", "api/outputs/0-1/cell/2.output", "", Asked((), identifier="0-1")),
        ("DELETE", "api/outputs/0-1/cell", "", Asked((), identifier="0-1")),
        ("GET", "api/kernels", "", None),
        ("GET", "lab/tree/x", "", None),
    ],
)
def test_what_a_request_names(method: str, path: str, query: str, wanted: Asked | None) -> None:
    assert asked(method, path, query) == wanted


def test_what_is_not_shown_is_counted_for_who_sees_the_whole_folder() -> None:
    model = {"type": "directory", "content": [{"name": "a"}, {"name": "b"}], "unshown": {"names": 1, "kinds": 0}}
    assert shown(model, lambda name: True, writable=False)["unshown"] == {"names": 1, "kinds": 0}
    assert "unshown" not in shown(model, lambda name: name == "a", writable=False)


@pytest.mark.parametrize(
    "query", ["", "path=x", "file=a&file=b", "file=/etc/x", "file=../x", "file=a/./b", "file=%20a"]
)
def test_h5web_needs_one_clear_file(query: str) -> None:
    with pytest.raises(Unclear):
        asked("GET", "h5web/data", query)
    with pytest.raises(Unclear):
        asked("POST", "api/fileid/index", query.replace("path", "other").replace("file", "path"))


@pytest.mark.parametrize(
    ("method", "body", "passed", "named"),
    [
        ("POST", b"", {}, ()),
        ("POST", b'{"type": "notebook", "path": "home/x", "name": 3}', {"type": "notebook"}, ()),
        ("POST", b'{"copy_from": "/shared/a"}', {"copy_from": "shared/a"}, ("shared/a",)),
        ("POST", b'{"copy_from": "shared/a", "copy_from": "secret"}', {"copy_from": "secret"}, ("secret",)),
        ("PATCH", b'{"path": "shared/b", "content": "x"}', {"path": "shared/b"}, ("shared/b",)),
        ("PATCH", b'{"path": null}', {}, ()),
        ("PUT", b'{"format": "json", "type": "notebook", "path": "x"}', {"format": "json", "type": "notebook"}, ()),
    ],
)
def test_bodies_are_written_anew(method: str, body: bytes, passed: object, named: tuple[str, ...]) -> None:
    text, names = rewritten(method, body)
    assert (json.loads(text), names) == (passed, named)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b"[" * 50_000,
        b'{"copy_from": ["shared/a"]}',
        b'{"copy_from": "shared/../secret"}',
        b'{"copy_from": "shared//a"}',
        b'{"copy_from": "a\\u0000b"}',
        b'{"copy_from": "a\\\\b"}',
    ],
)
def test_bodies_that_could_be_read_in_two_ways_are_refused(body: bytes) -> None:
    with pytest.raises(Unclear):
        rewritten("POST", body)


@given(st.text(alphabet="ab./\\\0 ~%", max_size=12))
def test_a_clear_path_stays_below_where_it_begins(path: str) -> None:
    try:
        found = clear(path)
    except Unclear:
        return
    assert not found.startswith("/")
    assert found == path.strip("/")
    assert ".." not in found.split("/")


def test_opened_folders() -> None:
    folders = ("shared/e1", "home/work")
    for place in ("shared/e1", "shared/e1/x", "home/work/a/b"):
        assert opened(place, folders)
    for place in (None, "shared", "shared/e10", "home", "home/workshop", "data/e1", ""):
        assert not opened(place, folders)
    assert leads_to("shared", folders)
    assert leads_to("home", folders)
    assert not leads_to("shared/e", folders)
    assert not leads_to("data", folders)
    assert not leads_to(None, folders)
    assert not opened("home", ())


def test_a_folder_is_shown_with_what_is_kept() -> None:
    model = {"type": "directory", "writable": True, "content": [{"name": "a", "writable": True}, {"name": "b"}, 3]}
    assert shown(model, lambda name: name == "a", writable=True)["content"] == [{"name": "a", "writable": True}]
    told = shown(model, lambda name: name == "a", writable=False)
    assert (told["writable"], told["content"]) == (False, [{"name": "a", "writable": False}])
    with pytest.raises(Unclear):
        shown([], lambda name: True, writable=True)
