"""From the kernel's tables to the folders of a container's cgroups."""

from __future__ import annotations

from moat.engines.container.cgroups import folders

HYBRID_MOUNTS = """\
30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_every_hierarchy_of_a_hybrid_machine() -> None:
    """The limits of version 1 lie in a hierarchy each, and version 2 has one for all."""
    membership = (
        "5:name=systemd:/docker/c0\n4:cpu,cpuacct:/docker/c0\n3:memory:/docker/c0\n"
        "2:freezer:/docker/c0\n0::/docker/c0\n"
    )
    assert folders(membership, HYBRID_MOUNTS) == [
        "/sys/fs/cgroup/systemd/docker/c0",
        "/sys/fs/cgroup/cpu,cpuacct/docker/c0",
        "/sys/fs/cgroup/memory/docker/c0",
        "/sys/fs/cgroup/unified/docker/c0",
    ]


def test_version_two_alone() -> None:
    """It is what most machines have."""
    mounts = "30 25 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    assert folders("0::/system.slice/docker-c0.scope\n", mounts) == [
        "/sys/fs/cgroup/system.slice/docker-c0.scope"
    ]


def test_a_part_of_a_hierarchy_is_mounted() -> None:
    """In a container, paths begin at what is mounted; what lies outside can't be entered."""
    mounts = r"30 25 0:26 /docker/me /sys/fs/c\040group rw - cgroup2 cgroup2 rw" + "\n"
    assert folders("0::/docker/me/inner\n", mounts) == ["/sys/fs/c group/inner"]
    assert folders("0::/docker/other\n", mounts) == []
