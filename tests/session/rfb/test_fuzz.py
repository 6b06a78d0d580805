"""The fuzzers' properties, tried for a moment; `tools/fuzz` tries them for as long as wanted, guided by coverage."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.rfb import fuzzing
from tests.session.rfb import messages as m
from tests.session.rfb.test_from_server import CLIPBOARDS
from tests.session.rfb.test_from_server import FORGED as FORGED_BY_SERVER
from tests.session.rfb.test_from_viewer import ACTING, FORGED, LOOKING

CHOICES = st.one_of(
    st.binary(min_size=fuzzing.CHOICES, max_size=fuzzing.CHOICES),
    st.builds(
        lambda rights, sizes: bytes([rights, 0xFF]) + sizes, st.integers(0, 31), st.binary(min_size=3, max_size=3)
    ),
)
"""Any rights and extensions; half the time all extensions, so that what needs them is tried as well."""


def bent(good: list[bytes], forged: list[bytes]) -> st.SearchStrategy[bytes]:
    """Messages, some forged, with a byte changed or cut off; most are whole, or the first would end all."""

    def bend(message: bytes, at: int, byte: int, cut: bool) -> bytes:
        at %= len(message)
        return message[:at] if cut else message[:at] + bytes([byte]) + message[at + 1 :]

    short = [message for message in good if len(message) < 500]
    changed = st.builds(bend, st.sampled_from(short), st.integers(0, 500), st.integers(0, 255), st.booleans())
    odd = st.one_of(st.sampled_from(forged), changed, st.binary(max_size=20))
    return st.integers(0, 9).flatmap(lambda n: odd if n == 9 else st.sampled_from(short))


def streams(first: bytes, good: list[bytes], forged: list[bytes]) -> st.SearchStrategy[bytes]:
    """Choices and a stream of such messages."""
    parts = st.lists(bent(good, forged), min_size=1, max_size=12)
    return st.builds(lambda choice, parts: choice + first + b"".join(parts), CHOICES, parts)


@settings(max_examples=200)
@given(streams(m.encodings(*m.ALL), [*LOOKING.values(), *ACTING.values()], [*FORGED.values()]))
def test_what_a_viewer_sends(data: bytes) -> None:
    fuzzing.from_viewer(data)


@settings(max_examples=200)
@given(streams(b"", [*m.SERVER, *CLIPBOARDS], [*FORGED_BY_SERVER.values()]))
def test_what_a_server_sends(data: bytes) -> None:
    fuzzing.to_viewer(data)
