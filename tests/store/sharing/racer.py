"""One person who takes links, one after the other, and leaves again (``racer URL USERNAME TOKEN...``)."""

from __future__ import annotations

import sys

from tests.store.sharing.rig import FACTS, MARIES, NOW
from visa.instances.model import Refusal
from visa.store.people import People
from visa.store.store import Store


def main() -> None:
    """Say of each link whether she was in."""
    store = Store(sys.argv[1])
    people, username = People(store), sys.argv[2]
    people.members.of(MARIES)  # connected
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for token in sys.argv[3:]:
        outcome = people.invitations.redeem(username, token, FACTS, NOW)
        sys.stdout.write(f"{outcome.reason.value if isinstance(outcome, Refusal) else 'in'}\n")
        people.members.remove(username, MARIES, username, NOW)
    store.close()


if __name__ == "__main__":
    main()
