"""The gateway's own few pages: Jupyter is starting, not yours, something is wrong. No outside assets."""

from __future__ import annotations

import html
import secrets

_STYLE = """
:root { color-scheme: light dark; --ink: #1d232b; --paper: #f7f8fa; --line: #d5dae1; --accent: #0b5cad }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --paper: #14181d; --line: #343c46; --accent: #7db7f0 } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 34rem; margin: 1rem; padding: 1.5rem 2rem; border: 1px solid var(--line); border-radius: .5rem }
h1 { font-size: 1.25rem; margin: 0 0 .5rem }
p { margin: .5rem 0; overflow-wrap: anywhere }
a { color: var(--accent) }
progress { width: 100%; accent-color: var(--accent) }
"""

_WAIT = """
const since = Date.now(), seconds = document.getElementById("seconds"), slow = document.getElementById("slow");
if (seconds) setInterval(() => {
  const s = Math.round((Date.now() - since) / 1000);
  seconds.textContent = s;
  if (s > 45) slow.hidden = false;
}, 1000);
async function wait() {
  for (;;) {
    try {
      const answer = await fetch(document.body.dataset.ready, { cache: "no-store" });
      if (answer.ok && (await answer.json()).ready) { location.reload(); return; }
      if (answer.status === 401 || answer.status === 403) { location.reload(); return; }
    } catch (error) { console.warn("the gateway did not answer", error); }
    await new Promise((done) => setTimeout(done, 300));
  }
}
wait();
"""


def page(title: str, body: str, *, script: str = "", data: str = "") -> tuple[str, str]:
    """``(html, content security policy)``; ``body`` is HTML, ``data`` attributes of the body element."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    code = f'<script nonce="{nonce}">{script}</script>' if script else ""
    content = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style nonce="{nonce}">{_STYLE}</style></head>'
        f"<body {data}><main><h1>{html.escape(title)}</h1>{body}</main>{code}</body></html>"
    )
    return content, policy


def starting(prefix: str, portal: str) -> tuple[str, str]:
    """Shown until Jupyter accepts connections; goes on by itself."""
    body = (
        '<p role="status">Your instance is up and Jupyter is being loaded in it. This page goes on by itself.</p>'
        '<progress aria-label="Jupyter is starting"></progress>'
        '<p><span id="seconds">0</span> seconds so far; a few are usual.</p>'
        f'<p id="slow" hidden>This takes longer than usual. You can wait, or stop and start the instance on '
        f'<a href="{html.escape(portal)}">your home page</a>; your files are kept.</p>'
    )
    return page("Jupyter is starting", body, script=_WAIT, data=f'data-ready="{html.escape(prefix)}_visa/ready"')


def ended(prefix: str, portal: str) -> tuple[str, str]:
    """Shown when Jupyter was there and is not any more; goes on by itself should it come back."""
    body = (
        '<p role="status">Jupyter was running in your instance and has stopped answering. Perhaps it used more '
        "memory than the instance has. What you saved is kept; what was only in a kernel's memory is not.</p>"
        f'<p>Stop and start the instance on <a href="{html.escape(portal)}">your home page</a>. '
        "Should Jupyter come back, this page goes on by itself.</p>"
    )
    return page("Jupyter has stopped", body, script=_WAIT, data=f'data-ready="{html.escape(prefix)}_visa/ready"')


def message(title: str, sentence: str, portal: str, ask: str = "") -> tuple[str, str]:
    """A sentence and the way home, or to the page where one can ask to come in."""
    asking = f'<p><a href="{html.escape(ask)}">Ask to come in</a></p>' if ask else ""
    home = f'<p><a href="{html.escape(portal)}">Your home page</a></p>'
    return page(title, f"<p>{html.escape(sentence)}</p>{asking}{home}")
