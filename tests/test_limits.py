"""What a container or a scheduler allows counts, not what the machine has."""

import math
from pathlib import Path

import psutil
import pytest

from lstm_lm import limits


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 cores and 32 GB, and an empty tree of control groups."""
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"total": 32 * 10**9}))
    monkeypatch.setattr(limits, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "_OWN", tmp_path / "own")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_limits_it_is_the_whole_machine(groups: Path) -> None:
    assert (limits.usable_cores(), limits.usable_memory()) == (8, 32 * 10**9)
    write(groups / "own", "0::/job\n")
    write(groups / "cgroup/job/cpu.max", "max 100000\n")
    write(groups / "cgroup/job/memory.max", "max\n")
    assert (limits.usable_cores(), limits.usable_memory()) == (8, 32 * 10**9)


@pytest.mark.parametrize("where", ["", "user", "user/job"])
def test_the_tightest_group_around_the_process_counts(where: str, groups: Path) -> None:
    write(groups / "own", "0::/user/job\n")
    write(groups / "cgroup" / where / "cpu.max", "250000 100000\n")
    write(groups / "cgroup" / where / "memory.max", "4000000000\n")
    assert (limits.usable_cores(), limits.usable_memory()) == (2, 4 * 10**9)


def test_the_older_control_groups_count_too(groups: Path) -> None:
    write(groups / "own", "5:memory:/job\n3:cpu,cpuacct:/job\n")
    write(groups / "cgroup/cpu/cpu.cfs_quota_us", "300000\n")
    write(groups / "cgroup/cpu/cpu.cfs_period_us", "100000\n")
    write(groups / "cgroup/cpu/job/cpu.cfs_quota_us", "-1\n")
    write(groups / "cgroup/cpu/job/cpu.cfs_period_us", "100000\n")
    write(groups / "cgroup/memory/job/memory.limit_in_bytes", "5000000000\n")
    assert (limits.usable_cores(), limits.usable_memory()) == (3, 5 * 10**9)


def test_hyperthreads_are_no_cores_and_less_than_one_core_is_one(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else 4)
    assert limits.usable_cores() == 4
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 5}, raising=False)
    assert limits.usable_cores() == 2
    write(groups / "own", "0::/\n")
    write(groups / "cgroup/cpu.max", "50000 100000\n")
    assert limits.usable_cores() == 1


def test_where_the_number_of_cores_is_not_known_it_is_that_of_processors(
    groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else None)
    assert limits.usable_cores() == 8


@pytest.mark.posix
def test_a_limit_of_the_address_space_counts_but_for_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    taken = psutil.Process().memory_info().vms
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert limits.address_space_left() == math.inf
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**50, resource.RLIM_INFINITY))
    assert limits.address_space_left() == pytest.approx(2**50 - taken, rel=1e-3)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1, 1))
    assert limits.address_space_left() == 0


def test_this_machine_has_at_least_one_core_and_some_memory() -> None:
    assert limits.usable_cores() >= 1
    assert limits.usable_memory() > 2**26
