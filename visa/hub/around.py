"""Methods of JupyterHub's handlers that VISA stands around: several may stand around the same one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def stand(kind: type, name: str, ours: Callable[..., Any]) -> None:
    """Have ``ours(own, self, …)`` called instead of ``kind``'s method; ``own`` is what it was, others' of ours too.

    A second time changes nothing: a process may set up JupyterHub more than once, as tests do.
    """
    own = getattr(kind, name)
    there: tuple[Callable[..., Any], ...] = getattr(own, "around", ())
    if ours in there:
        return

    @functools.wraps(own)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(own, self, *args, **kwargs)

    method.around = (*there, ours)  # type: ignore[attr-defined]
    setattr(kind, name, method)
