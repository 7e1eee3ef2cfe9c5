"""Which Slurm site may have its nodes switched."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc_adapters.elastic import Elastic
from hpc_adapters.slurm.elastic import ElasticSlurm
from portal.bootstrap import build_backends
from portal.settings import Settings, SettingsWrong, SlurmSite


def site(folder: Path, **more: object) -> SlurmSite:
    key = folder / "jwt.key"
    key.write_bytes(b"x" * 32)
    told = {"kind": "slurm", "cluster": "c", "url": "http://localhost:6820", "jwt_key_file": key, "folder": "/shared"}
    return SlurmSite.model_validate({**told, **more})


def built(folder: Path, **more: object) -> object:
    return build_backends(Settings(data_dir=folder), {"slurm": site(folder, **more)})["slurm"]


def test_nodes_are_switched_only_where_the_site_says_so_and_names_who_may(tmp_path: Path) -> None:
    assert not isinstance(built(tmp_path, admin_user="kyoyo-admin"), Elastic)
    able = built(tmp_path, admin_user="kyoyo-admin", elastic=True)
    assert isinstance(able, ElasticSlurm)
    assert isinstance(able, Elastic)
    with pytest.raises(SettingsWrong, match="admin_user"):
        built(tmp_path, elastic=True)
