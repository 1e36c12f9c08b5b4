#!/usr/bin/env python3
"""lib-skips.py JUNIT.xml EXPECTED-SKIPS.txt CMakeCache.txt: is every skip of a ctest run an expected one?

A skipped test printed "SKIP capability: reason". It is expected where a line of the table names that
capability, the test and the reason, and where the capability is truly missing on this machine. Prints the
skips by capability and each unexpected one; exits 1 where there is one, or where there was no test."""
import collections
import fnmatch
import glob
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def cache(path, key):
    with open(path) as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return line.split("=", 1)[1].strip()
    return ""


def runs(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def cpu(flag):
    with open("/proc/cpuinfo") as text:
        return re.search(r"^flags.*\b%s\b" % flag, text.read(), re.M) is not None


def cgroup():
    """A CPU quota can be set: version 1 (cpu folder) or version 2 (cpu.max of a child)."""
    controllers = "/sys/fs/cgroup/cgroup.subtree_control"
    if os.path.exists(controllers):
        with open(controllers) as text:
            return "cpu" in text.read().split() and os.access("/sys/fs/cgroup", os.W_OK)
    return os.path.exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") and os.access("/sys/fs/cgroup/cpu", os.W_OK)


# capability -> is it here? (data and model need the paths that CMake was given)
PRESENT = {
    "data": lambda data, models: os.path.isdir(data),
    "model": lambda data, models: os.path.isdir(os.path.join(models, "all-MiniLM-L6-v2")),
    "models": lambda data, models: all(os.path.isdir(os.path.join(models, name))
                                       for name in ("gemma-3-270m", "bergamot-enpt", "whisper-base")),
    "root": lambda data, models: os.geteuid() == 0,
    "mount": lambda data, models: runs("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"),
    "cgroup": lambda data, models: cgroup(),
    "netns": lambda data, models: runs("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc",
                                       "ip", "link", "add", "br0", "type", "bridge"),
    "avx2": lambda data, models: cpu("avx2"),
    "avx512": lambda data, models: cpu("avx512f"),
    "cuda": lambda data, models: bool(glob.glob("/dev/nvidia[0-9]*")),
    "slurm": lambda data, models: os.geteuid() == 0 and shutil.which("slurmctld", path="/usr/sbin:/usr/bin") is not None
        and runs("unshare", "--net", "--mount", "sh", "-c", "ip link add ech-probe type bridge && mount -t tmpfs tmpfs /mnt"),
}


def read_table(path):
    rows = []
    with open(path) as lines:
        for number, line in enumerate(lines, 1):
            fields = line.split("#", 1)[0].split(None, 2)
            if not fields:
                continue
            if len(fields) != 3 or fields[0] not in PRESENT:
                sys.exit("%s:%d: expected: capability tests reason, with a capability of: %s"
                         % (path, number, " ".join(PRESENT)))
            rows.append((fields[0], fields[1], fields[2].strip()))
    return rows


def fault_of(test, output, table, data, models):
    """(capability, what is wrong with this skip or None)"""
    said = re.search(r"^SKIP (\w+): (.*)$", output, re.M)
    if not said:
        return "?", "gave no reason (SKIP capability: why)"
    capability, reason = said.groups()
    if not any(c == capability and fnmatch.fnmatch(test, t) and re.search(r, reason) for c, t, r in table):
        return capability, "is not in the table: " + said.group(0)
    if PRESENT[capability](data, models):
        return capability, "skips for %s, which is here: %s" % (capability, reason)
    return capability, None


def main(junit, expected, cmake_cache):
    if not os.path.exists(junit):
        print("no test ran")
        return 1
    table = read_table(expected)
    data, models = cache(cmake_cache, "ECH_TEST_DATA"), cache(cmake_cache, "ECH_TEST_MODELS")
    cases = list(ElementTree.parse(junit).getroot().iter("testcase"))
    skipped, faults = collections.Counter(), 0
    for case in cases:
        if case.find("skipped") is None:
            continue
        capability, fault = fault_of(case.get("name"), case.findtext("system-out") or "", table, data, models)
        skipped[capability] += 1
        if fault:
            faults += 1
            print("unexpected skip: %s %s" % (case.get("name"), fault))
    if skipped:
        print("skipped %d of %d: %s" % (sum(skipped.values()), len(cases),
                                        ", ".join("%s %d" % item for item in sorted(skipped.items()))))
    return 1 if faults or not cases else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
