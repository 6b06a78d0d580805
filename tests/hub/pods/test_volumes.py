"""Every recipe of storage, and that what is read-only cannot be written or made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tests.hub.pods.making import (
    IDENTITIES,
    RAW,
    SHARED,
    facilities,
    mount,
    on_kubernetes,
    parts_of,
    spec,
    specs,
    with_storage,
)
from tests.services import facility
from visa.facility.kubernetes import HomeStorage, NewClaim
from visa.facility.model import Facility
from visa.hub.pods.volumes import LookedFor, NotOffered, Volumes, data_volumes, home_claim, home_volume
from visa.instances.model import Identity, InstanceSpec

NOBODY: frozenset[str] = frozenset()


def made(where: Facility, *mounts: Any, allowed: frozenset[str] = NOBODY) -> Volumes:
    return data_volumes(spec(mounts=mounts), where, allowed)


def test_a_claim_that_is_read_is_mounted_read_only_as_a_whole() -> None:
    found = made(on_kubernetes(), RAW)
    assert found.volumes == [
        {"name": "data-0", "persistentVolumeClaim": {"claimName": "raw", "readOnly": True}},
    ]
    assert found.mounts == [
        {
            "name": "data-0",
            "mountPath": "/data/exp-1",
            "readOnly": True,
            "recursiveReadOnly": "IfPossible",
            "subPath": "facility/d22/2025/p1/exp-1",
        }
    ]
    folder = "facility/d22/2025/p1/exp-1"
    assert found.looked_for == [LookedFor("data-0", folder, RAW.experiment)], "it could be a link to another"


def test_a_claim_that_is_written_is_looked_for_first() -> None:
    found = made(on_kubernetes(), SHARED)
    assert found.volumes == [{"name": "data-1", "persistentVolumeClaim": {"claimName": "shared", "readOnly": False}}]
    assert found.mounts == [{"name": "data-1", "mountPath": "/shared/exp-1", "readOnly": False, "subPath": "p1"}]
    assert found.looked_for == [LookedFor("data-1", "p1", SHARED.experiment)]


def test_two_experiments_with_one_shared_folder_share_one_volume() -> None:
    second = mount("shared", "p1", "exp-2", read_only=False)
    found = made(on_kubernetes(), SHARED, second)
    assert [v["name"] for v in found.volumes] == ["data-1"]
    assert [(m["mountPath"], m["subPath"]) for m in found.mounts] == [("/shared/exp-1", "p1"), ("/shared/exp-2", "p1")]


@pytest.mark.parametrize("read_only", [True, False])
def test_nfs_is_a_volume_for_each_folder(read_only: bool) -> None:
    where = with_storage("raw", nfs={"server": "nfs.example.org", "path": "/export"}, sub_path="raw")
    found = made(where, mount("raw", "a", read_only=read_only), mount("raw", "b", "exp-2", read_only=read_only))
    assert found.volumes == [
        {
            "name": f"data-0-{n}",
            "nfs": {"server": "nfs.example.org", "path": f"/export/raw/{folder}", "readOnly": read_only},
        }
        for n, folder in enumerate("ab")
    ]
    assert all("subPath" not in m for m in found.mounts)
    assert [m["readOnly"] for m in found.mounts] == [read_only, read_only]


def test_csi_is_one_volume_with_its_secret() -> None:
    csi = {"driver": "d.example.org", "attributes": {"share": "{raw}"}, "secret": "raw-credentials"}
    found = made(with_storage("raw", csi=csi), RAW)
    assert found.volumes == [
        {
            "name": "data-0",
            "csi": {
                "driver": "d.example.org",
                "readOnly": True,
                "volumeAttributes": {"share": "{raw}"},
                "nodePublishSecretRef": {"name": "raw-credentials"},
            },
        }
    ]
    assert found.mounts[0]["subPath"] == RAW.path


def test_a_folder_of_the_nodes_has_to_be_allowed_by_name_and_must_be_there() -> None:
    where = with_storage("raw", host_path="/srv/raw")
    for allowed in (NOBODY, frozenset({"shared"})):
        with pytest.raises(NotOffered, match=r"'raw'.*host_paths"):
            made(where, RAW, allowed=allowed)
    found = made(where, RAW, allowed=frozenset({"raw"}))
    assert found.volumes == [{"name": "data-0-0", "hostPath": {"path": f"/srv/raw/{RAW.path}", "type": "Directory"}}]
    assert found.mounts[0]["readOnly"]


def test_a_root_without_a_place_here_is_named() -> None:
    with pytest.raises(NotOffered, match=r"data\.raw\.kubernetes"):
        made(facility.facility(), RAW)


@given(facilities(), specs())
def test_whatever_is_mounted_is_as_read_only_as_admission_says(where: Facility, wanted: InstanceSpec) -> None:
    found = data_volumes(wanted, where, NOBODY)
    volumes = {v["name"]: v for v in found.volumes}
    assert len(volumes) == len(found.volumes)
    assert len(found.mounts) == len(wanted.mounts)
    looked = {(one.volume, one.folder) for one in found.looked_for}
    for asked, got in zip(wanted.mounts, found.mounts, strict=True):
        assert got["mountPath"] == asked.target
        assert got["readOnly"] is asked.read_only
        assert got["subPath"].endswith(asked.path)
        volume = volumes[got["name"]]
        (source,) = [value for key, value in volume.items() if key != "name"]
        assert source["readOnly"] is asked.read_only
        assert (got["name"], got["subPath"]) in looked


# homes


def test_no_home_storage_is_a_home_that_goes_with_the_instance() -> None:
    assert home_volume(None, "marie", "c") == ({"name": "home", "emptyDir": {}}, {})


@given(IDENTITIES)
def test_everybody_has_a_folder_of_her_own_in_a_common_claim(identity: Identity) -> None:
    storage = HomeStorage(claim="homes", sub_path="home")
    volume, seen = home_volume(storage, identity.username, "c")
    assert volume == {"name": "home", "persistentVolumeClaim": {"claimName": "homes"}}
    assert seen == {"subPath": f"home/{identity.username}"}


def test_homes_on_nfs_are_folders_of_the_export() -> None:
    storage = HomeStorage.model_validate({"nfs": {"server": "n", "path": "/export"}})
    volume, seen = home_volume(storage, "marie", "c")
    assert volume["nfs"] == {"server": "n", "path": "/export/marie", "readOnly": False}
    assert seen == {}


def test_a_claim_of_her_own() -> None:
    storage = HomeStorage.model_validate({"new_claim": {"size": "20Gi"}})
    assert home_volume(storage, "marie", "visa-home-1") == (
        {"name": "home", "persistentVolumeClaim": {"claimName": "visa-home-1"}},
        {},
    )
    claim = home_claim(NewClaim.model_validate({"size": "20Gi", "storage_class": "fast"}), "visa-home-1", "marie@x")
    assert claim["metadata"]["name"] == "visa-home-1"
    assert claim["metadata"]["annotations"] == {"visa/owner": "marie@x"}
    assert "marie@x" not in claim["metadata"]["labels"].values()
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": str(20 * 2**30)}},
        "storageClassName": "fast",
    }
    assert "storageClassName" not in home_claim(NewClaim.model_validate({"size": "1Gi"}), "n", "m")["spec"]


def test_the_home_is_the_persons_own_in_the_pod() -> None:
    parts = parts_of(spec(), on_kubernetes(homes={"kubernetes": {"new_claim": {"size": "1Gi"}}}))
    assert parts.home[0]["persistentVolumeClaim"] == {"claimName": "visa-home-x"}
