"""One person who redeems a link when she is told to (``racer URL USERNAME TOKEN``)."""

from __future__ import annotations

import sys

from tests.store.sharing.rig import FACTS, NOW
from visa.instances.model import Refusal
from visa.store.people import People
from visa.store.store import Store


def main() -> None:
    """Say whether she is in."""
    store = Store(sys.argv[1])
    people = People(store)
    people.members.of("0" * 16)  # connected
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    outcome = people.invitations.redeem(sys.argv[2], sys.argv[3], FACTS, NOW)
    sys.stdout.write(outcome.reason.value if isinstance(outcome, Refusal) else "in")
    store.close()


if __name__ == "__main__":
    main()
