"""What a visitor may do on this gateway's desktop: her role by the one table, and the facility's rules."""

from __future__ import annotations

from visa.instances.access import DesktopRights, desktop_rights
from visa.session.gateway import Gateway
from visa.session.guard import Forbidden
from visa.session.hub import Visitor


def rights_of(gateway: Gateway, visitor: Visitor) -> DesktopRights | None:
    """None for who may not even look."""
    return desktop_rights(visitor.role, gateway.settings.desktop)


def needed(gateway: Gateway, visitor: Visitor) -> DesktopRights:
    """Hers; raise `Forbidden` for who may not even look."""
    rights = rights_of(gateway, visitor)
    if rights is None:
        raise Forbidden
    return rights
