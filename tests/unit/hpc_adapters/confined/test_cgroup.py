from __future__ import annotations

from pathlib import Path

from hpc_adapters.confined.cgroup import Group


def a_folder(place: Path, files: dict[str, str]) -> str:
    place.mkdir()
    for name, content in files.items():
        (place / name).write_text(content)
    return str(place)


def test_version_2_is_read_from_one_folder(tmp_path: Path) -> None:
    files = {
        "memory.events": "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n",
        "memory.peak": "67108864\n",
        "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
    }
    group = Group({"": a_folder(tmp_path / "g", files)})
    assert (group.memory_kills(), group.peak_memory_mb(), group.cpu_used_s()) == (1, 64.0, 1.5)


def test_version_1_is_read_from_a_folder_for_each_controller(tmp_path: Path) -> None:
    memory = {"memory.oom_control": "oom_kill_disable 0\noom_kill 3\n", "memory.max_usage_in_bytes": "1048576\n"}
    folders = {
        "memory": a_folder(tmp_path / "memory", memory),
        "cpuacct": a_folder(tmp_path / "cpuacct", {"cpuacct.usage": "250000000\n"}),
    }
    group = Group(folders)
    assert (group.memory_kills(), group.peak_memory_mb(), group.cpu_used_s()) == (3, 1.0, 0.25)


def test_what_the_kernel_does_not_say_is_not_invented(tmp_path: Path) -> None:
    group = Group({"": a_folder(tmp_path / "g", {})})
    assert (group.memory_kills(), group.peak_memory_mb(), group.cpu_used_s()) == (0, None, None)


def test_a_group_that_has_gone_is_removed_without_complaint(tmp_path: Path) -> None:
    Group({"": str(tmp_path / "gone")}).remove()
