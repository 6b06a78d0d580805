"""What an environment finds inside, on every backend: variables, first page, account files. Pure."""

from __future__ import annotations

import math

from visa import clock
from visa.facility.model import Facility
from visa.instances.model import Identity, InstanceSpec

RUN = "/run/visa"
DATA = "/data"
CONFIGURATION = "/etc/visa"
LAUNCH = ("/bin/sh", f"{CONFIGURATION}/launch")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


def home(identity: Identity) -> str:
    """Where the person's home folder appears."""
    return f"/home/{identity.username}"


def opening(spec: InstanceSpec) -> str:
    """The path under the instance's own that leads to the session."""
    if spec.session == "desktop":
        return "desktop/"
    first = next(iter(spec.experiments), None)
    return f"lab/tree/notebooks/{first}.ipynb?file-browser-path={DATA}/{first}" if first else "lab"


def sessions(spec: InstanceSpec, facility: Facility) -> str:
    """The kinds that the environment offers, by a space."""
    return " ".join(facility.environments[spec.environment].sessions)


def desktop_server(spec: InstanceSpec, facility: Facility) -> str:
    """What brings the environment's desktop to browsers."""
    return facility.environments[spec.environment].desktop


def gateway_variables(spec: InstanceSpec, facility: Facility) -> dict[str, str]:
    """What a gateway is told of the instance; `visa.session.settings` reads it. Times are of now, the start."""
    told = {
        "VISA_RUN": RUN,
        "VISA_OPEN": opening(spec),
        "VISA_SESSION": spec.session,
        "VISA_SESSIONS": sessions(spec, facility),
        "VISA_DESKTOP": facility.desktop.told(),
        "VISA_DESKTOP_SERVER": desktop_server(spec, facility),
        **facility.limits.gateway(),
    }
    if spec.maximum is not None:
        told["VISA_ENDS"] = (clock.now() + spec.maximum).isoformat(timespec="seconds").replace("+00:00", "Z")
    return told


def variables(spec: InstanceSpec, facility: Facility, prefix: str) -> dict[str, str]:
    """Variables of the environment, none of them secret; ``prefix`` is the instance's own path."""
    threads = str(max(1, math.ceil(spec.resources.cpu)))
    return {
        "LANG": "C.UTF-8",
        # A lock of who reads would stop the acquisition from writing.
        "HDF5_USE_FILE_LOCKING": "FALSE",
        **dict.fromkeys(_THREADS, threads),
        **facility.variables,
        **facility.environments[spec.environment].variables,
        "HOME": home(spec.identity),
        "USER": spec.identity.username,
        "LOGNAME": spec.identity.username,
        "TMPDIR": "/tmp",
        # Not in the home folder, which her other instances share.
        "JUPYTER_RUNTIME_DIR": "/tmp/jupyter-runtime",
        "VISA_RUN": RUN,
        "VISA_BASE_URL": prefix,
        "VISA_EXPERIMENTS": " ".join(spec.experiments),
        "VISA_DATA": DATA,
        "VISA_OPEN": opening(spec),
        "VISA_SESSION": spec.session,
        "VISA_SESSIONS": sessions(spec, facility),
        "VISA_DESKTOP_SERVER": desktop_server(spec, facility),
        **facility.limits.environment(),
    }


def passwd(identity: Identity, shell: str) -> str:
    """``/etc/passwd``: the person has a name, whatever the image knows."""
    name = "".join(c if c.isprintable() and c != ":" else " " for c in identity.name)
    return (
        "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
        f"{identity.username}:x:{identity.uid}:{identity.gid}:{name}:{home(identity)}:{shell}\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )


def group(identity: Identity) -> str:
    """``/etc/group``: her groups have names."""
    names = {0: "root", identity.gid: str(identity.username)}
    names |= {gid: f"group{gid}" for gid in identity.gids if gid not in names}
    members = {gid: identity.username if gid in identity.gids else "" for gid in names}
    return "".join(f"{names[gid]}:x:{gid}:{members[gid]}\n" for gid in names) + "nogroup:x:65534:\n"
