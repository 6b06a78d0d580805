"""What one person may take of an instance at once: ``limits`` in facility.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from visa.facility.section import Section
from visa.facility.units import Memory


class Limits(Section):
    """What keeps one person, page or file from taking an instance away from the others."""

    websockets: int = Field(
        default=100, ge=10, le=10_000, description="Connections (kernels, terminals, documents) of one person."
    )
    websockets_of_others: int = Field(
        default=400, ge=10, le=10_000, description="Connections of all together who are not the owner."
    )
    held: Annotated[Memory, Field(le=2**30)] = Field(
        default=Memory("16Mi"), description="Bytes on their way in all connections that a gateway may hold."
    )
    piece: Annotated[Memory, Field(le=2**30)] = Field(
        default=Memory("64Mi"), description="Most of one file that an editor or the HDF5 viewer is given at once."
    )

    def gateway(self) -> dict[str, str]:
        """As gateways read it (docs/developers/gateway.md)."""
        return {
            "VISA_SOCKETS_EACH": str(self.websockets),
            "VISA_SOCKETS_OTHERS": str(self.websockets_of_others),
            "VISA_HELD": str(int(self.held)),
        }

    def environment(self) -> dict[str, str]:
        """As environments read it (docs/developers/notebook.md)."""
        return {"VISA_PIECE": str(int(self.piece))}
