"""files.py alone: what is listed, read, and brought in by parts; what is refused."""

from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unicodedata import category
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.files.conftest import Environment

ID = "0123456789abcdef01234567"
DANGEROUS = "/\\\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_the_socket_is_for_its_group_alone(environment: Environment) -> None:
    assert stat.S_IMODE(os.stat(environment.socket).st_mode) == 0o660


def test_a_folder_is_listed_without_uploads_under_way(environment: Environment) -> None:
    folder = environment.home / "list"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.h5").write_bytes(b"abc")
    (folder / f".b.h5.{ID}.part").write_bytes(b"x")
    (folder / "new\nline").write_bytes(b"")
    os.symlink("/nowhere/at/all", folder / "broken")
    os.mkfifo(folder / "fifo")
    told = environment.ask("GET", "/home/list?list=1").json
    assert {(e["name"], e["type"], e["size"]) for e in told["entries"]} == {("sub", "folder", 0), ("a.h5", "file", 3)}
    assert told["writable"]
    assert told["unshown"] == {"names": 1, "kinds": 2}
    assert not environment.ask("GET", "/data/e1?list=1").json["writable"]
    assert environment.ask("GET", "/home/fifo?list=1").status == 404
    assert environment.ask("GET", "/home/list/fifo").status == 403


def test_ranges_and_etags(environment: Environment) -> None:
    (environment.data / "e1/scan.h5").write_bytes(bytes(range(200)))
    whole = environment.ask("GET", "/data/e1/scan.h5")
    assert (whole.status, len(whole.body)) == (200, 200)
    tag = whole.headers["ETag"]
    part = environment.ask("GET", "/data/e1/scan.h5", Range="bytes=10-19", If_Range=tag)
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, bytes(range(10, 20)), "bytes 10-19/200")
    assert environment.ask("GET", "/data/e1/scan.h5", Range="bytes=-5").body == bytes(range(195, 200))
    assert environment.ask("GET", "/data/e1/scan.h5", Range="bytes=190-").body == bytes(range(190, 200))
    assert environment.ask("GET", "/data/e1/scan.h5", Range="bytes=1-2", If_Range='"old"').status == 200
    beyond = environment.ask("GET", "/data/e1/scan.h5", Range="bytes=200-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */200")
    assert environment.ask("GET", "/data/e1/scan.h5", If_None_Match=tag).status == 304
    head = environment.ask("HEAD", "/data/e1/scan.h5")
    assert (head.headers["Content-Length"], head.body) == ("200", b"")


@pytest.mark.parametrize(
    "path",
    ["/home/../etc/passwd", "/home/%2e%2e/x", "/etc/passwd", "/home/a%2f..%2f..%2fx", "/home/%ff", "/home/a%00b"],
)
def test_no_address_leads_out(environment: Environment, path: str) -> None:
    for method, query in (("GET", ""), ("GET", "?list=1"), ("PUT", f"?offset=0&size=1&upload={ID}")):
        assert environment.ask(method, path + query, b"x" if method == "PUT" else None).status in (400, 404)


def test_links(environment: Environment) -> None:
    home = environment.home
    os.symlink("/etc", home / "etc")
    os.symlink(environment.shared, home / "shared")
    (home / "real").mkdir()
    os.symlink("real", home / "near")
    (environment.shared / "e1/there").write_bytes(b"there")
    put = f"?offset=0&size=1&upload={ID}"
    assert environment.ask("GET", "/home/shared/e1/there").body == b"there"
    assert environment.ask("GET", "/home/etc/hostname").status == 403
    assert environment.ask("GET", "/home/etc?list=1").status == 403
    assert environment.ask("PUT", f"/home/shared/e1/x{put}", b"x").status == 403
    assert environment.ask("PUT", f"/home/etc/x{put}", b"x").status == 403
    assert environment.ask("PUT", f"/home/near/x{put}", b"x").status == 201
    assert (home / "real/x").read_bytes() == b"x"
    assert environment.ask("PUT", f"/data/e1/x{put}", b"x").status == 403
    os.symlink("/tmp/not-written", home / f".caught.{ID}.part")
    assert environment.ask("PUT", f"/home/caught{put}", b"x").status in (403, 404)
    assert not os.path.lexists("/tmp/not-written")


def test_nothing_is_written_over_unless_asked(environment: Environment) -> None:
    target = environment.home / "taken"
    target.write_bytes(b"old")
    target.chmod(0o600)
    path = f"/home/taken?offset=0&size=3&upload={ID}"
    assert environment.ask("PUT", path, b"new").status == 409
    assert target.read_bytes() == b"old"
    assert environment.ask("PUT", f"{path}&replace=1", b"new").status == 201
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", 0o600)
    (environment.home / "folder").mkdir()
    assert environment.ask("PUT", f"/home/folder?offset=0&size=1&upload={ID}&replace=1", b"x").status == 409
    assert not list(environment.home.glob(".*.part"))[1:]


def test_an_upload_is_dropped_and_old_ones_go(environment: Environment) -> None:
    folder = environment.home / "parts"
    folder.mkdir()
    old = folder / f".left.{ID}.part"
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 8 * 86400,) * 2)
    path = f"/home/parts/new?upload={ID}"
    assert environment.ask("PUT", f"{path}&offset=0&size=10", b"12345").json == {"received": 5}
    assert [p.name for p in folder.iterdir()] == [f".new.{ID}.part"]
    assert environment.ask("PUT", f"{path}&offset=6&size=10", b"1").json["received"] == 5
    assert environment.ask("DELETE", path).status == 204
    assert environment.ask("GET", path).json == {"received": 0}
    assert not list(folder.iterdir())


def test_what_is_no_part(environment: Environment) -> None:
    for query in ("", "?offset=0&size=1", "?offset=-1&size=1&upload=" + ID, "?offset=1&size=1&upload=" + ID):
        assert environment.ask("PUT", f"/home/odd{query}", b"x").status == 400
    assert environment.ask("PUT", f"/home/{'n' * 256}?offset=0&size=1&upload={ID}", b"x").status == 400
    assert environment.ask("PUT", f"/home/.a.{ID}.part?offset=0&size=1&upload={ID}", b"x").status == 400
    assert environment.ask("PUT", f"/home/big?offset=0&size={2**50}&upload={ID}", b"x").status == 507


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=8), data=st.data())
def test_parts_again_and_out_of_turn_make_the_same_file(
    environment: Environment, content: bytes, cuts: list[int], data: st.DataObject
) -> None:
    target = environment.home / "whole"
    target.unlink(missing_ok=True)
    query = f"?upload={ID}&size={len(content)}"
    for offset in [cut % (len(content) + 1) for cut in cuts]:
        received = environment.ask("GET", f"/home/whole?upload={ID}").json["received"]
        end = data.draw(st.integers(offset, max(offset, len(content) - 1)))
        answer = environment.ask("PUT", f"/home/whole{query}&offset={offset}", content[offset:end])
        if content and answer.status != 201:
            assert answer.status == (200 if offset <= received else 416)
    if not target.exists():
        received = environment.ask("GET", f"/home/whole?upload={ID}").json["received"]
        assert environment.ask("PUT", f"/home/whole{query}&offset={received}", content[received:]).status == 201
    assert target.read_bytes() == content


@settings(max_examples=60, deadline=None)
@given(name=st.text(min_size=1, max_size=40))
def test_any_name_is_kept_or_refused(environment: Environment, name: str) -> None:
    spelled = quote(name.encode("utf-8", "surrogatepass"), safe="")
    before = set(os.listdir(environment.home.parent))
    answer = environment.ask("PUT", f"/shared/e1/{spelled}?offset=0&size=1&upload={ID}&replace=1", b"x")
    assert answer.status in (201, 400)
    assert set(os.listdir(environment.home.parent)) == before
    dangerous = any(category(c) in ("Cc", "Cs", "Zl", "Zp") or c in DANGEROUS for c in name) or name in (".", "..")
    if len(name.encode("utf-8", "surrogatepass")) <= 255:
        assert answer.status == (400 if dangerous else 201), ascii(name)
    if answer.status == 201:
        assert environment.ask("GET", f"/shared/e1/{spelled}").body == b"x"
        listed = environment.ask("GET", "/shared/e1?list=1").json["entries"]
        assert name in [one["name"] for one in listed]
        (environment.shared / "e1" / name).unlink()


def test_folders_are_made_where_there_are_none(environment: Environment) -> None:
    assert environment.ask("PUT", "/home/made%E2%80%AF?folder=1").status == 201
    assert environment.ask("PUT", "/home/made%E2%80%AF?folder=1").status == 200
    assert (environment.home / "made\u202f").is_dir()
    (environment.home / "a-file").write_text("x")
    assert environment.ask("PUT", "/home/a-file?folder=1").status == 409
    assert environment.ask("PUT", "/home/none/below?folder=1").status == 404
    assert environment.ask("PUT", "/data/e1/new?folder=1").status == 403
    assert environment.ask("PUT", "/home/..?folder=1").status == 400


def test_names_of_the_longest_kind_come_in_parts(environment: Environment) -> None:
    name, other = "n" * 255, "m" + "n" * 254
    for one in (name, other):
        query = f"/home/{one}?size=2&upload={ID}"
        assert environment.ask("PUT", f"{query}&offset=0", b"1").json == {"received": 1}
    for one in (name, other):
        assert environment.ask("PUT", f"/home/{one}?size=2&upload={ID}&offset=1", b"2").status == 201
        assert (environment.home / one).read_bytes() == b"12"
        (environment.home / one).unlink()


def test_a_list_counts_names_that_are_not_utf8(environment: Environment) -> None:
    (environment.home / "names").mkdir()
    for name in (b"caf\xe9", b"turned\xe2\x80\xae", b"back\\slash", "Pri\u00a0x".encode()):
        Path(os.fsdecode(os.fsencode(environment.home / "names") + b"/" + name)).touch()
    told = environment.ask("GET", "/home/names?list=1").json
    assert [one["name"] for one in told["entries"]] == ["Pri\u00a0x"]
    assert told["unshown"] == {"names": 3, "kinds": 0}


def test_many_at_once(environment: Environment) -> None:
    (environment.home / "many").write_bytes(b"m" * 100_000)
    with ThreadPoolExecutor(100) as pool:
        sizes = list(pool.map(lambda _: len(environment.ask("GET", "/home/many").body), range(300)))
    assert set(sizes) == {100_000}
