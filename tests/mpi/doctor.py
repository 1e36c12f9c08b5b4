#!/usr/bin/python3
"""doctor.py: `echelon doctor --cluster` on three hosts (tests/mpi/hosts): all well; then a host whose folder of runs is
another one, whose /dev/shm is small; then a host with its cable pulled and one that hangs. Each is named, the rest is
well, and nothing is left on any host.
"""
import json, os, pathlib, signal, sys, time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "hosts")]
import hosts

ECHELON = f"{os.environ['ECH_BIN']}/echelon"


def ask(lab, *words):
    """Exit status, {node: {check: verdict}}, stderr."""
    start = time.monotonic()
    done = lab.run(1, [ECHELON, "doctor", "--cluster", "c.yaml", "--json", *words], capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    faults = {n["node"]: {f["check"]: f["verdict"] for f in n["faults"]} for n in json.loads(done.stdout)["nodes"]}
    names = {n["node"]: n.get("host") for n in json.loads(done.stdout)["nodes"]}
    print(f"{done.returncode} {faults} {time.monotonic() - start:.1f} s")
    return done.returncode, faults, names, done.stderr


def main():
    hosts.enter()
    pathlib.Path("agent").write_text(f"#!/bin/sh\nexec {sys.executable} {hosts.SELF} --agent \"$@\"\n")
    os.chmod("agent", 0o755)
    pathlib.Path("c.yaml").write_text(f'launch: {os.getcwd()}/agent\nclasses:\n  a: {{hosts: "node[1-3]"}}\n')
    os.mkdir("runs")
    with hosts.Lab(3) as lab:
        code, faults, names, _ = ask(lab)
        assert code == 0 and faults == {"node1": {}, "node2": {}, "node3": {}}, faults
        assert names == {f"node{k}": f"node{k}" for k in (1, 2, 3)}, names

        lab.run(2, ["mount", "-t", "tmpfs", "tmpfs", "runs"], check=True)
        lab.run(3, ["mount", "-o", "remount,size=16m", "/dev/shm"], check=True)
        code, faults, _, err = ask(lab)
        assert code == 69 and faults == {"node1": {}, "node2": {"folder": "lacking"}, "node3": {"/dev/shm": "lacking"}}, faults
        assert "2 of 3 nodes fail: node2, node3" in err, err

        lab.run(2, ["umount", "runs"], check=True)
        os.kill(lab.pids[2][1], signal.SIGSTOP)  # takes no new connection; the kernel still does
        lab.link(3, False)
        code, faults, _, err = ask(lab, "--deadline", "7")
        assert code == 69 and faults == {"node1": {}, "node2": {"reach": "lacking"}, "node3": {"reach": "lacking"}}, faults
        os.kill(lab.pids[2][1], signal.SIGCONT)
        lab.link(3, True)

        until = time.monotonic() + 20  # what was asked of node2 while it stood runs once and ends
        while time.monotonic() < until and any(lab.processes(k) for k in (1, 2, 3)):
            time.sleep(0.1)
        left = {k: lab.processes(k) for k in (1, 2, 3)}
        assert not any(left.values()), left
        assert not os.listdir("runs"), os.listdir("runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
