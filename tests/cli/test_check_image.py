"""``visa check-image``: what it says of images that lack something, run for real by buildah and in a pod."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.images.engine import Images, image
from tests.services import cluster
from visa.cli.check_image import running
from visa.cli.check_image.findings import findings, possible
from visa.cli.check_image.running import Facts
from visa.cli.main import main

DEBIAN = "docker.io/library/debian:trixie-slim"
GOOD = {
    "begin": "1", "path": "/bin", "jupyter": "/bin/jupyter", "bash": "/bin/bash", "git": "/bin/git",
    "tini": "/bin/tini", "xvnc": "/bin/Xvnc", "xsession": "/bin/startxfce4", "software": "present",
    "xvnc-kind": "tigervnc", "bus": "/bin/dbus-run-session", "python3": "/bin/python3", "desktop": "there",
    "lab": "4.6.1", "bytecode": "100/100", "start-first": "1.00", "start-again": "0.80", "page": "200",
    "kernels": "python3", "kernel": "0.90",
}  # fmt: skip
BOTH = ("notebook", "desktop")
VIDEO = {"selkies": "/bin/selkies", "video": "there"}


def codes(**changed: str) -> list[str]:
    """Of what is found in an image that is good but for ``changed``."""
    values = {**GOOD, **{key.replace("_", "-"): value for key, value in changed.items()}}
    text = "".join(f"fact {key} {value}\n" for key, value in values.items())
    return [finding.code for finding in findings(Facts.read(text), BOTH, read_only=True)]


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of ``visa check-image --json``, but for how fast Jupyter starts on a busy machine."""
    with pytest.raises(SystemExit) as ended:
        main(["check-image", "--json", *arguments])
    assert isinstance(ended.value.code, int)
    answer = json.loads(capsys.readouterr().out)
    if "findings" in answer:
        answer["findings"] = [one for one in answer["findings"] if one["code"] != "slow-start"]
    return ended.value.code, answer


def levels(answer: dict[str, Any]) -> dict[str, str]:
    """Code to level of what was found."""
    return {finding["code"]: finding["level"] for finding in answer["findings"]}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"jupyter": ""}, ["no-jupyter"]),
        ({"jupyter": "", "closed": "/root/bin"}, ["closed"]),
        ({"lab": ""}, ["no-lab"]),
        ({"lab": "3.6.7"}, ["old-lab"]),
        ({"lab": "5.0.0"}, ["old-lab"]),
        ({"start_first": ""}, ["no-start"]),
        ({"start_again": ""}, ["no-start"]),
        ({"page": "500"}, ["no-page"]),
        ({"kernels": "", "kernel": ""}, ["no-kernel"]),
        ({"kernel": ""}, ["dead-kernel"]),
        ({"rfc3987": "present"}, ["slow-import"]),
        ({"bytecode": "89/100"}, ["no-bytecode"]),
        ({"start_again": "3.10"}, ["slow-start"]),
        ({"jupyterhub": "present"}, ["jupyterhub"]),
        ({"xvnc": ""}, ["no-xvnc"]),
        ({"xvnc_kind": ""}, ["other-xvnc"]),
        ({"xsession": ""}, ["no-xsession"]),
        ({"desktop": "logged-out"}, ["no-desktop"]),
        ({"desktop": ""}, ["no-desktop"]),
        ({"bus": "", "python3": ""}, ["no-session-bus", "no-file-transfer"]),
        ({"hidden": "/data"}, ["hidden"]),
        ({"tini": ""}, ["no-tini"]),
        ({"bash": "", "git": "", "software": ""}, ["no-bash", "no-git", "no-software-list"]),
    ],
)
def test_each_lack_is_said_and_nothing_else(changed: dict[str, str], expected: list[str]) -> None:
    assert codes(**changed) == expected


def test_what_concerns_another_session_kind_is_not_said() -> None:
    facts = Facts.read("fact begin 1\nfact tini /bin/tini\nfact xvnc /bin/Xvnc\nfact xvnc-kind tigervnc\n")
    assert [f.code for f in findings(facts, ["desktop"], True) if f.level == "error"] == ["no-xsession"]
    assert [f.code for f in findings(facts, ["notebook"], True) if f.level == "error"] == ["no-jupyter"]
    assert possible(facts, True) == {"notebook": False, "desktop": False, "video": False}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"selkies": "", "video": ""}, ["no-selkies"]),
        ({"video": ""}, ["no-video"]),
        ({"desktop": "", "video": ""}, ["no-desktop"]),
        ({"xvnc": "", "desktop": "", "video": ""}, ["no-xvnc", "no-desktop"]),
    ],
)
def test_video_is_of_a_desktop(changed: dict[str, str], expected: list[str]) -> None:
    text = "".join(f"fact {key} {value}\n" for key, value in {**GOOD, **VIDEO, **changed}.items())
    assert [finding.code for finding in findings(Facts.read(text), ["video"], True)] == expected
    assert possible(Facts.read(text), True)["video"] is (not expected)


def test_a_read_only_failure_names_the_way_out() -> None:
    text = "".join(f"fact {key} {value}\n" for key, value in {**GOOD, "start-first": ""}.items())
    facts = Facts.read(f"{text}log OSError: [Errno 30] Read-only file system: '/opt/x'\n")
    (found,) = findings(facts, ["notebook"], True)
    assert "read_only_root: false" in found.right
    assert "/opt/x" in found.wrong


def fake_engine(folder: Path, name: str, script: str) -> Path:
    """A command of this name that does what ``script`` says and writes its arguments to a file."""
    log = folder / f"{name}.log"
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{log}\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return log


def test_podman_is_asked_for_a_closed_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = "".join(f"echo 'fact {key} {value}'\n" for key, value in GOOD.items())
    log = fake_engine(tmp_path, "podman", f'[ "$1" = run ] || exit 0\n{facts}')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    code, answer = check(capsys, "--engine", "podman", "some/image:1")
    assert (code, answer["findings"]) == (0, [])
    given = log.read_text().splitlines()
    for option in ("--read-only", "--cap-drop", "no-new-privileges", f"{running.UID}:{running.UID}"):
        assert option in given
    assert given[-3:-1] == ["rm", "--force"], "the container is removed whatever happens"


def test_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake_engine(tmp_path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    assert "none of podman, docker and buildah works here" in check(capsys, "x:1")[1]["trouble"]
    assert "Cannot connect to the Docker daemon" in check(capsys, "--engine", "docker", "x:1")[1]["trouble"]
    assert "there is no such command" in check(capsys, "--engine", "podman", "x:1")[1]["trouble"]


def test_an_image_that_cannot_be_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_engine(tmp_path, "docker", '[ "$1" = info ] && exit 0\necho "warning"; echo "manifest unknown" >&2; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    code, answer = check(capsys, "--engine", "docker", "x:1")
    assert code == 1
    assert "docker cannot pull it: manifest unknown; check the name and `docker login`" in answer["trouble"]


def test_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    assert "set KUBECONFIG" in check(capsys, "--kubernetes", "x:1")[1]["trouble"]
    user = {"name": "u", "user": {}}
    context = {"name": "c", "context": {"cluster": "k", "user": "u"}}
    clusters = [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}]
    (tmp_path / "config").write_text(
        json.dumps({"clusters": clusters, "users": [user], "contexts": [context], "current-context": "c"})
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    code, answer = check(capsys, "--kubernetes", "x:1")
    assert code == 1
    assert "the cluster at http://127.0.0.1:1 does not answer" in answer["trouble"]


def test_unknown_session_kinds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check-image", "--sessions", "notebook,vr", "x:1"])
    assert "'vr' is no session kind; known are notebook, desktop" in capsys.readouterr().err


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """Makes small images and forgets them at the end."""
    with Images(tmp_path_factory.mktemp("images")) as made:
        yield made


SITE = "/opt/environment/lib/python3*/site-packages"
KERNELS = "/opt/environment/share/jupyter/kernels"
ON_OURS = "FROM {notebook}\nUSER 0\nRUN "
LACKING: dict[str, tuple[str, dict[str, str]]] = {
    "bare": (f"FROM {DEBIAN}", {"no-jupyter": "error", "no-tini": "warning", "no-software-list": "advice"}),
    "old": (
        f"FROM {DEBIAN}\nRUN printf '#!/bin/sh\\necho 3.6.7' >/bin/jupyter && chmod +x /bin/jupyter",
        {"old-lab": "error"},
    ),
    "root": (f"{ON_OURS}chmod 700 /opt/environment", {"closed": "error"}),
    "kernelless": (f"{ON_OURS}rm -r {SITE}/ipykernel* {KERNELS}", {"no-kernel": "error"}),
    "dead": (
        f'{ON_OURS}sed -i \'s,"argv": .,&"/bin/false"\\,,\' {KERNELS}/python3/kernel.json',
        {"dead-kernel": "error"},
    ),
    "slow": (
        f"{ON_OURS}find {SITE} -name '*.pyc' -delete && for at in {SITE}; do touch $at/rfc3987_syntax.py; done",
        {"slow-import": "warning", "no-bytecode": "warning"},
    ),
    "hidden": (f"{ON_OURS}mkdir /data && touch /data/precious", {"hidden": "warning"}),
}


@pytest.mark.cluster
@pytest.mark.parametrize("name", LACKING)
def test_a_real_image_that_lacks_something(name: str, images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    containerfile, expected = LACKING[name]
    made = images.make(name, containerfile.replace("{notebook}", image("notebook")))
    code, answer = check(capsys, "--engine", "buildah", made)
    assert code == (1 if "error" in expected.values() else 0)
    found = levels(answer)
    assert expected.items() <= found.items(), answer
    assert [key for key, level in found.items() if level == "error"] == [k for k, v in expected.items() if v == "error"]


@pytest.mark.cluster
def test_an_xvnc_that_is_none(images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    commands = "for name in Xvnc startxfce4; do printf '#!/bin/sh\\n' >/usr/bin/$name; chmod +x /usr/bin/$name; done"
    made = images.make("desktop", f"FROM {DEBIAN}\nRUN {commands}")
    code, answer = check(capsys, "--engine", "buildah", "--sessions", "desktop", made)
    assert (code, answer["sessions"]) == (1, {"notebook": False, "desktop": False, "video": False})
    assert levels(answer)["other-xvnc"] == "error"


@pytest.mark.cluster
@pytest.mark.parametrize(("name", "kinds"), [("desktop", BOTH), ("desktop-selkies", (*BOTH, "video"))])
def test_visas_own_desktop_images(name: str, kinds: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = check(capsys, "--engine", "buildah", "--sessions", ",".join(kinds), image(name))
    assert (code, answer["sessions"]) == (0, {kind: kind in kinds for kind in (*BOTH, "video")})
    assert set(levels(answer)) <= {"not-read-only"}


@pytest.mark.cluster
def test_an_image_without_a_shell(images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    made = images.make("noshell", "FROM scratch\nCOPY Containerfile /")
    code, answer = check(capsys, "--engine", "buildah", made)
    assert (code, levels(answer)) == (1, {"no-shell": "error"})


@pytest.mark.cluster
@pytest.mark.parametrize("name", ["notebook", "scattering"])
def test_our_own_images_lack_nothing_in_a_pod(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with cluster.namespace("images-check", filled=False) as space:
        code, answer = check(capsys, "--kubernetes", "--namespace", space.name, image(name))
        assert (code, answer["findings"]) == (0, []), answer
        assert answer["facts"]["root"] == "closed"
        assert answer["facts"]["uid"] == str(running.UID)
        assert json.loads(space.run("get", "pods", "-o", "json"))["items"] == [], "the pod is deleted"


@pytest.mark.cluster
def test_an_image_that_writes_beside_its_home(images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    write = 'case "$*" in *--config*) echo x >/opt/state/file;; esac'
    wrapper = f'#!/bin/sh\\nset -e\\n{write}\\nexec /opt/environment/bin/jupyter-lab "$@"\\n'
    made = images.make(
        "writes",
        f"FROM {image('notebook')}\nUSER 0\nRUN mkdir -m 777 /opt/state /opt/first"
        f" && printf '{wrapper}' >/opt/first/jupyter-lab && chmod +x /opt/first/jupyter-lab\nENV PATH=/opt/first:$PATH",
    )
    assert check(capsys, "--engine", "buildah", made)[0] == 0, "buildah cannot see it, and says so"
    images.load(made)
    with cluster.namespace("images-check", filled=False) as space:
        code, answer = check(capsys, "--kubernetes", "--namespace", space.name, made)
    assert code == 1
    (error,) = [finding for finding in answer["findings"] if finding["level"] == "error"]
    assert error["code"] == "no-start"
    assert "read_only_root: false" in error["right"]


@pytest.mark.cluster
def test_what_kubernetes_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    with cluster.namespace("images-check", filled=False) as space:
        code, answer = check(capsys, "--kubernetes", "--namespace", space.name, "localhost/visa/never-built:dev")
        assert code == 1
        assert "the node cannot pull localhost/visa/never-built:dev" in answer["trouble"]
        assert json.loads(space.run("get", "pods", "-o", "json"))["items"] == []
    assert "not found" in check(capsys, "--kubernetes", "--namespace", "never-made", "x:1")[1]["trouble"]


@pytest.mark.cluster
def test_an_interrupted_check_leaves_no_pod() -> None:
    command = [str(Path(sys.executable).parent / "visa"), "check-image", "--kubernetes", "--namespace"]
    with cluster.namespace("images-check", filled=False) as space:
        # A shell's background job, as this test may be, passes on that SIGINT is ignored.
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen([*command, space.name, image("notebook")], preexec_fn=heard)
        space.run("wait", "--for=create", "pod", "-l", "app.kubernetes.io/name=visa-check-image", "--timeout=20s")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert json.loads(space.run("get", "pods", "-o", "json"))["items"] == []
