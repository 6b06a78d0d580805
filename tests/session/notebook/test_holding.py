"""What Jupyter holds for a page that does not read, or is not there: so much and no more, and the kernel goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.notebook.conftest import Three
from tests.session.notebook.messages import text
from tests.session.notebook.test_live import PATH, channels, heard, session

MEGABYTE = 10**6
PRINTS = "for number in range({count}):\n    print(str(number % 10) * 1_000_000, flush=True)\n'the ' + 'end'"

UNTIL = (
    "import pathlib, time\nwhile not pathlib.Path({path!r}).exists():\n    print('.', flush=True); time.sleep(0.1)\n"
)


def run(code: str) -> str:
    return text("execute_request", "shell", {"code": code, "silent": False, "store_history": False})


@asynccontextmanager
async def asleep(three: Three, kernel: str, session: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A page of marie's that reads nothing."""
    address = f"{three.url}api/kernels/{kernel}/channels?session_id={session}"
    async with rig.narrow() as client, client.ws_connect(address, headers=rig.MARIE, max_msg_size=0) as socket:
        yield socket


async def now(three: Three, kernel: str) -> Any:
    return await three.json(three.marie, "GET", f"api/kernels/{kernel}")


async def test_a_page_that_does_not_read_is_cut_off_and_others_have_all_of_it(three: Three) -> None:
    kernel, seen = await session(three, PATH), three.place.home / "seen"
    async with channels(three, three.marie, kernel, False, "awake") as awake:
        await awake.send_str(text("kernel_info_request", "shell"))
        await heard(awake, "kernel_info_reply")

        async def connections(count: int) -> None:
            async def there() -> bool:
                return bool((await now(three, kernel))["connections"] == count)

            await eventually(there, f"{count} connections of pages")

        async with asleep(three, kernel, "asleep"):
            await connections(2)
            seen.unlink(missing_ok=True)
            await awake.send_str(
                run(PRINTS.format(count=100).replace("'the '", f"{UNTIL.format(path=str(seen))}'the '"))
            )
            size = 0
            while "the end" not in (message := await awake.receive_str()):
                size += len(message)
                if size > 100 * MEGABYTE and not seen.exists():
                    await connections(1)
                    seen.touch()
            assert size > 100 * MEGABYTE
        await awake.send_str(run("print(6 * 7 * 1000)"))
        await heard(awake, "42000")


async def test_what_a_kernel_tells_nobody_is_kept_up_to_a_piece_and_then_the_newest(three: Three) -> None:
    kernel = await session(three, PATH)
    go = three.place.home / "go-on"
    go.unlink(missing_ok=True)
    waits = (
        f"import pathlib, time\nprint('be' + 'gun')\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
    )
    async with channels(three, three.marie, kernel, False, "hers") as marie:
        await marie.send_str(run(waits + PRINTS.format(count=200)))
        await heard(marie, "begun")

    async def is_(what: str, value: Any) -> bool:
        return bool((await now(three, kernel))[what] == value)

    await eventually(lambda: is_("connections", 0), "her leaving")
    go.touch()
    await eventually(lambda: is_("execution_state", "idle"), "the kernel's end")
    async with channels(three, three.marie, kernel, False, "hers") as marie:
        told: list[dict[str, Any]] = []
        while not (told and told[-1]["msg_type"] == "status" and told[-1]["content"]["execution_state"] == "idle"
                   and any(one["msg_type"] == "execute_reply" for one in told)):  # fmt: skip
            told.append(json.loads(await marie.receive_str()))
        said = [one["content"]["text"] for one in told if one["msg_type"] == "stream"]
        assert any("messages of this kernel were not kept while nobody was here" in one for one in said)
        assert 0 < sum(map(len, said)) < 80 * MEGABYTE
        assert any("the end" in str(one["content"]) for one in told)
        await marie.send_str(run("print(6 * 7 * 1000)"))
        await heard(marie, "42000")
