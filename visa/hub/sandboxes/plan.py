"""What the hub tells a supervisor, as JSON on its standard input. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Plan:
    """``gateway`` and ``environment`` are full command lines; ``{info}`` in the environment's is replaced by
    the number of the descriptor for bwrap's ``--info-fd``. ``token`` never appears in arguments."""

    folder: str
    instance: str
    gateway: list[str]
    gateway_variables: dict[str, str]
    environment: list[str]
    cgroups: dict[str, str]
    cpu: float
    memory: int
    pasta: str | None = None
    slirp4netns: str | None = None
    tether: int | None = None
    grace: float = 5.0
    scratch: list[str] = field(default_factory=list)

    def dump(self) -> bytes:
        """For the supervisor's standard input."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def load(data: bytes) -> Plan:
        """What `dump` wrote."""
        return Plan(**json.loads(data))
