"""Which of the browser's requests are the portal's own.

Where instances share the hub's host, their pages have the portal's origin, and a collaborator may have left a script in
them: cookie, Origin and Referer of its requests look like the portal's. What it cannot do is read a page of the
portal: pages answer to navigation only, are never framed, and share no window with their opener
(Cross-Origin-Opener-Policy; the gateway lets no instance send its own). So each page carries a token, and
whatever a page asks for by the cookie has to bring it.
"""

from __future__ import annotations

import hashlib
import hmac

PAGE_HEADER = "X-Visa-Page"


def page_token(secret: bytes, login: str) -> str:
    """The token that pages of the session ``login`` (the cookie's hub token) carry; the same in every replica."""
    return hmac.new(secret, b"visa page\n" + login.encode(), hashlib.sha256).hexdigest()
