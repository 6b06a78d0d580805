"""What `images/build` made: closed, small, described truthfully."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.images import engine

pytestmark = pytest.mark.cluster

MEGABYTES = {"hub": 400, "gateway": 190, "proxy": 260, "notebook": 510, "scattering": 1310, "desktop": 2130}
MEGABYTES["desktop-selkies"] = 2380
"""The most that each may have, unpacked, on this base image."""
ENVIRONMENTS = ("notebook", "scattering", "desktop")
PREFIX = {"hub": "/opt/visa", "gateway": "/opt/visa", **dict.fromkeys(ENVIRONMENTS, "/opt/environment")}
BESIDE = {"desktop-selkies": "/opt/selkies"}
"""Environments of programs that people do not use themselves."""
CHOSEN = {
    "hub": ("jupyterhub", "jupyterhub-visa", "jupyterhub-kubespawner", "python3"),
    "gateway": ("tornado", "jupyterhub-visa", "python3"),
    "proxy": ("configurable-http-proxy", "nodejs", "tini"),
    "notebook": ("jupyterlab", "ipykernel", "git", "bash"),
    "scattering": ("scipp", "scippneutron", "jupyterlab-h5web", "jupyterlab"),
    "desktop-selkies": ("selkies", "pixelflux", "aiohttp", "silx", "tigervnc-standalone-server"),
    "desktop": ("silx", "pyside6-essentials", "scipp", "jupyterlab", "tigervnc-standalone-server", "xfce4-session"),
}


@pytest.fixture(scope="module", params=list(MEGABYTES))
def built(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    """Name and files of each image."""
    with engine.opened(engine.image(request.param)) as root:
        yield request.param, root


@cache
def configuration(name: str) -> dict[str, Any]:
    """What the image says of how it runs."""
    found = json.loads(engine.run("buildah", "inspect", "--type", "image", engine.image(name)))
    return dict(found["OCIv1"])


def distributions(root: Path, prefix: str) -> dict[str, str]:
    """Name to version of what is installed."""
    places = [str(path) for path in root.glob(f"{prefix[1:]}/lib/python3*/site-packages")]
    assert len(places) == 1
    found = metadata.distributions(path=places)
    return {re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version for one in found}


def listed(root: Path) -> dict[str, Any]:
    """The image's SBOM."""
    return dict(json.loads((root / "opt/visa/sbom.cdx.json").read_text()))


def test_runs_as_nobody_in_particular_and_under_tini(built: tuple[str, Path]) -> None:
    config = configuration(built[0])["config"]
    user, _, group = config["User"].partition(":")
    assert int(user) > 1000
    assert int(group) > 1000
    assert config["Entrypoint"] == ["/usr/bin/tini", "--"]
    assert (built[1] / "usr/bin/tini").exists()


def test_nothing_of_the_build_is_left(built: tuple[str, Path]) -> None:
    root = built[1]
    for command in ("gcc", "cc", "make", "pip", "pip3", "uv", "npm", "npx", "hatchling"):
        assert not list(root.glob(f"**/bin/{command}")), command
    for package in ("pip", "setuptools", "uv", "hatchling", "wheel", "rfc3987_syntax"):
        assert not list(root.glob(f"opt/**/site-packages/{package}")), package
    assert [path.name for path in (root / "var/lib/apt/lists").glob("*") if path.is_file()] == []
    assert list((root / "var/cache/apt").glob("**/*.deb")) == []
    assert list((root / "tmp").iterdir()) == []
    assert [str(path) for path in (root / "root").rglob("*") if "cache" in path.name] == []


def test_nobody_can_write_to_what_it_runs(built: tuple[str, Path]) -> None:
    places = [str(built[1] / place) for place in ("opt", "usr", "etc")]
    found = engine.run("find", *places, "-perm", "/o=w", "!", "-type", "l")
    assert found == ""
    owned = engine.run("find", *places, "(", "-uid", "+999", "-o", "-gid", "+999", ")")
    assert owned == ""


def test_byte_code_is_there(built: tuple[str, Path]) -> None:
    name, root = built
    prefix = PREFIX.get(name) or BESIDE.get(name)
    if prefix is None:
        assert not list(root.glob("opt/**/*.py")), "the proxy has no Python of its own"
        return
    (site,) = root.glob(f"{prefix[1:]}/lib/python3*/site-packages")
    missing = [path for path in site.rglob("*.py") if not _compiled(path) and _is_of_this_python(path)]
    assert missing == []
    system = list((root / "usr/lib/python3.13").glob("*.py"))
    assert system
    assert [path for path in system if not _compiled(path)] == []


def _compiled(path: Path) -> bool:
    return any((path.parent / "__pycache__").glob(f"{path.stem}.cpython-3*.pyc"))


def _is_of_this_python(path: Path) -> bool:
    try:
        ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # templates and test data
        return False
    return True


def test_size(built: tuple[str, Path]) -> None:
    size = json.loads(engine.run("buildah", "images", "--json", engine.image(built[0])))[0]["size"]
    value, unit = size.split()
    assert float(value) * {"MB": 1, "GB": 1000}[unit] <= MEGABYTES[built[0]]


def test_sbom_is_cyclonedx_and_names_what_is_installed(built: tuple[str, Path]) -> None:
    name, root = built
    document = listed(root)
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    references = [component["bom-ref"] for component in document["components"]]
    assert len(references) == len(set(references))
    for component in document["components"]:
        assert set(component) <= {"type", "bom-ref", "name", "version", "purl", "licenses"}
        assert component["type"] == "library"
        assert re.fullmatch(r"pkg:(deb/debian|pypi|npm)/[^@\s]+@[^@\s]+", component["purl"]), component
    named = {component["name"]: component for component in document["components"]}
    assert set(CHOSEN[name]) <= set(named)
    if name in PREFIX:
        pypi = {c["name"]: c["version"] for c in document["components"] if c["purl"].startswith("pkg:pypi/")}
        assert {re.sub(r"[-_.]+", "-", key): value for key, value in pypi.items()} == distributions(root, PREFIX[name])


def test_sbom_names_debians_packages(built: tuple[str, Path]) -> None:
    form = "${db:Status-Status} ${Package} ${Version}\n"
    lines = engine.run("dpkg-query", "--admindir", built[1] / "var/lib/dpkg", "-W", "-f", form).splitlines()
    expected = {tuple(line.split()[1:]) for line in lines if line.startswith("installed ")}
    components = listed(built[1])["components"]
    assert {(c["name"], c["version"]) for c in components if c["purl"].startswith("pkg:deb/")} == expected


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_software_list_is_what_is_installed(name: str) -> None:
    with engine.opened(engine.image(name)) as root:
        installed = distributions(root, "/opt/environment")
        software = json.loads((root / "opt/visa/software.json").read_text())
    assert re.fullmatch(r"3\.\d+\.\d+", software.pop("Python"))
    named = {re.sub(r"[-_.]+", "-", key).lower(): value for key, value in software.items()}
    assert named.items() <= installed.items()
    assert set(CHOSEN[name]) - set(named) <= {"git", "bash", "tigervnc-standalone-server", "xfce4-session"}


def test_an_environment_knows_nothing_of_the_hub() -> None:
    for name in ENVIRONMENTS:
        with engine.opened(engine.image(name)) as root:
            assert not {"jupyterhub", "jupyterhub-visa"} & set(distributions(root, "/opt/environment"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_people_find_their_tools(name: str) -> None:
    for command in ("bash", "git", "less", "nano", "ps", "jupyter"):
        assert engine.inside(engine.image(name), "/bin/sh", "-c", f"command -v {command}").startswith("/"), command


def test_the_analysis_packages_work() -> None:
    script = "import scipp, scippneutron, h5py, hdf5plugin, matplotlib.pyplot; print(scipp.scalar(2, unit='m') * 2)"
    assert "4" in engine.inside(engine.image("scattering"), "/opt/environment/bin/python", "-c", script)
    extensions = engine.inside(engine.image("scattering"), "/bin/sh", "-c", "HOME=/tmp jupyter labextension list 2>&1")
    assert re.search(r"jupyterlab-h5web v\S+ .*enabled.*OK", extensions)
    with engine.opened(engine.image("scattering")) as root:
        assert json.loads((root / "opt/visa/starter.ipynb").read_text())["nbformat"] == 4


def test_the_desktop_opens_nexus_files_in_silx_view() -> None:
    name = engine.image("desktop")
    kind = engine.inside(name, "/bin/sh", "-c", "grep -h x-nexus /usr/share/mime/globs2")
    assert "application/x-nexus:*.nxs" in kind
    assert "=silx-view.desktop" in engine.inside(name, "/bin/sh", "-c", "cat /usr/share/applications/mimeapps.list")
    script = "import silx.app.view.main, silx.gui.plot, silx.gui.qt as qt; print(qt.BINDING)"
    assert "PySide6" in engine.inside(name, "env", "QT_QPA_PLATFORM=offscreen", "HOME=/tmp", "python", "-c", script)
    assert "rfbunixpath" in engine.inside(name, "/bin/sh", "-c", "Xvnc -help 2>&1 | grep -i rfbunixpath")


def test_a_first_desktop_has_its_settings_and_fonts_already() -> None:
    name = engine.image("desktop")
    script = (
        "HOME=/tmp FC_DEBUG=16 fc-match sans; grep -c 'name=\"' /etc/xdg/xfce4/xfconf/xfce-perchannel-xml/xfwm4.xml"
    )
    said = engine.inside(name, "/bin/sh", "-c", script)
    assert "DejaVuSans.ttf" in said
    assert "FcDirCacheWriteDir" not in said, "caches of fonts are valid as they are"
    assert int(said.split()[-1]) > 70


def test_the_gateway_holds_only_what_it_needs() -> None:
    with engine.opened(engine.image("gateway")) as root:
        assert set(distributions(root, "/opt/visa")) == {"tornado", "jupyterhub-visa"}
        (package,) = root.glob("opt/visa/lib/python3*/site-packages/visa")
        parts = {path.name for path in package.iterdir() if path.name != "__pycache__"}
    assert parts == {
        "__init__.py",
        "session",
        "instances",
        "addresses.py",
        "again.py",
        "clock.py",
        "connections.py",
        "heads.py",
        "identifiers.py",
        "logs.py",
        "navigation.py",
        "processes.py",
    }
    loaded = "import sys, visa.session.app; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    modules = engine.inside(engine.image("gateway"), "/opt/visa/bin/python", "-P", "-c", loaded).split()
    assert "tornado" in modules
    assert not {"pydantic", "sqlalchemy", "jupyterhub", "yaml"} & set(modules)


def test_hub_proxy_and_portal_can_be_started() -> None:
    assert engine.inside(engine.image("hub"), "/opt/visa/bin/jupyterhub", "--version").startswith("6.")
    assert "visa" in engine.inside(engine.image("hub"), "visa", "--version")
    engine.inside(
        engine.image("hub"), "/opt/visa/bin/python", "-c", "import visa.portal.app, visa.hub.kubernetes, psycopg"
    )
    assert engine.inside(engine.image("proxy"), *configuration("proxy")["config"]["Cmd"], "--version").startswith("5.")


def test_layers_are_shared_and_a_change_of_code_is_small() -> None:
    layers = {name: configuration(name)["rootfs"]["diff_ids"] for name in MEGABYTES}
    base = layers["proxy"][: len(layers["proxy"]) - 3]
    for name, own in layers.items():
        assert own[: len(base)] == base, name
    assert layers["scattering"][: len(layers["notebook"])] == layers["notebook"], "the notebook image is under it"
    assert len(layers["scattering"]) == len(layers["notebook"]) + 1
    assert layers["desktop"][: len(layers["scattering"])] == layers["scattering"]
    assert layers["desktop-selkies"][:-1] == layers["desktop"]
    shared = len([a for a, b in zip(layers["hub"], layers["gateway"], strict=False) if a == b])
    assert shared == len(base) + 1, "Debian's Python is shared"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-h"], 0, "images/build [-e ENGINE]"),
        (["-x"], 2, "images/build [-e ENGINE]"),
        (["postgres"], 2, "There is no image 'postgres'"),
        (["-e", "kaniko"], 1, "none of them works here"),
    ],
)
def test_build_says_what_it_cannot_do(arguments: list[str], code: int, said: str) -> None:
    done = subprocess.run([REPOSITORY / "images/build", *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
