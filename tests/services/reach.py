"""Run inside environments by the tests: which of the ways to an X server are open. Only the standard library.

Arguments: paths of sockets, and ``host:port``s. Prints JSON of those that took a connection.
"""

import glob
import json
import socket
import sys


def opened(kind: int, address: object) -> bool:
    """Whether somebody takes a connection there."""
    with socket.socket(kind) as one:
        one.settimeout(2)
        try:
            one.connect(address)  # type: ignore[arg-type]
        except OSError:
            return False
    return True


def main() -> None:
    """Of the arguments, and of all that X servers may listen on here."""
    places = [place for place in sys.argv[1:] if place.startswith("/")]
    places += ["/run/visa/desktop.sock", *glob.glob("/tmp/.X11-unix/*")]
    places += [f"\0/tmp/.X11-unix/X{number}" for number in range(20)]
    hosts = ["127.0.0.1:0", *(place for place in sys.argv[1:] if not place.startswith("/"))]
    found = [place for place in places if opened(socket.AF_UNIX, place)]
    for host, _, port in (address.rpartition(":") for address in hosts):
        numbers = [int(port)] if int(port) else [*range(5900, 5920), *range(6000, 6020)]
        found += [f"{host}:{number}" for number in numbers if opened(socket.AF_INET, (host, number))]
    print(json.dumps([place.replace("\0", "@") for place in found]))


if __name__ == "__main__":
    main()
