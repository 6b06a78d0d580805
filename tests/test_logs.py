"""What logs are kept free of, and what they keep."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from visa.logs import scrubbed, without_secrets

SECRET = "kQ9xZ3f-hW_27Lm0PqRsT4uVwXyZ"
HEX = "0123456789abcdef0123456789abcdef"
SIGNED = "2|1:0|10:1764451950|5:state|40:eyJhIjogMX0=|" + HEX * 2
ADDRESS = f"/hub/api/oauth2/authorize?client_id=service-visa&state={quote(SIGNED)}&response_type=code"


@pytest.mark.parametrize(
    "line",
    [
        f"302 GET /user/marie/a/oauth_callback?code={SECRET}&state={SECRET} (marie@127.0.0.1) 12ms",
        f"GET /hub/login?next={quote(ADDRESS, safe='')}",
        f"GET /hub/error/503?url={quote('/x/oauth_callback?code=' + SECRET, safe='')}",
        f"GET /hub/login?next={quote(quote(ADDRESS, safe=''), safe='')}",
        f"GET /user/marie/a/lab?token={SECRET}",
        f"POST /hub/api/x?_xsrf={SECRET}&a=b",
        f"Setting new xsrf cookie for b'{HEX}:{HEX}' {{'path': '/hub/'}}",
        f'{{"Cookie": "jupyterhub-session-id={HEX}; _xsrf={SECRET}"}}',
        f'Cookie: jupyterhub-hub-login="{SIGNED}"; visa-session={SECRET}',
        f"[('Set-Cookie', 'visa-session={SECRET}; Path=/')]",
        f'{{"Authorization": "token {SECRET}"}}',
        f"Authorization: Bearer {SECRET}",
        f"authorization='{SECRET}'",
        f"oauth state {SIGNED!r} missing from cookies",
        f"{{'code': '{SECRET}', 'grant_type': 'authorization_code', 'client_secret': '{SECRET}'}}",
        f"GET /services/visa/join/{SECRET} 200",
        f"302 to /services/visa/confirmed#3.{SECRET}",
        f"GET /hub/error/503?url=%2Fservices%2Fvisa%2Fjoin%2F{SECRET}",
        f"logout?id_token_hint={SECRET}.{SECRET}&post_logout_redirect_uri=x",
    ],
)
def test_what_opens_something_is_not_logged(line: str) -> None:
    told = scrubbed(line)
    for one in (SECRET, HEX, SIGNED, quote(SIGNED), "1764451950"):
        assert one not in told
    assert line.split()[0].split("=")[0][:4] in told, "what it is about stays"


@pytest.mark.parametrize(
    "line",
    [
        "200 GET /services/visa/api/v1/instances/0123456789abcdef 3 ms",
        "The instance ended with exit code=137, state=failed",
        "202 GET /services/visa/api/v1/experiments?text=micelle&instrument=d22 4 ms",
        "Pulled sha256:" + "ab" * 32,
        "Pod 0f8fad5b-d9cb-469f-a165-70867728950e: the state 'failed' is the last",
        "marie's token was withdrawn",
        "The hub refused a login code (400)",
    ],
)
def test_what_operators_look_for_stays(line: str) -> None:
    assert scrubbed(line) == line


@pytest.fixture
def factory() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    without_secrets()
    without_secrets()
    yield
    logging.setLogRecordFactory(before)


class Unshowable:
    """As a row of a database that is away."""

    def __repr__(self) -> str:
        raise RuntimeError("the database is away")


@pytest.mark.usefixtures("factory")
def test_every_record_of_a_process(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("some.library")
    log.warning("%s %s", "GET", f"/x?code={SECRET}")
    try:
        raise ValueError(f"https://hub.example.org/oauth_callback?code={SECRET}&state=x")
    except ValueError:
        log.exception("It failed with %(token)s", {"token": HEX})
    log.warning("half of it: %s %s", f"?code={SECRET}")
    log.warning("of %r", Unshowable())
    assert "(its arguments do not fit, or cannot be shown now)" in caplog.text
    assert SECRET not in caplog.text
    assert HEX not in caplog.text
    assert "half of it" in caplog.text
    assert "ValueError: https://hub.example.org/oauth_callback?code=[secret]" in caplog.text
