#!/usr/bin/python3
"""dispatch.py [--venv DIR] [--tasks N] [--folder DIR] [--peers]: leases a second, beside two task schedulers as what they are.

Echelon: `bench dispatch`, a lease of one row claimed, its record spooled with grouped syncs, told as done; two ranks on one
node, then three hosts with a rank each (namespaces, root). Goals: 50,000 and 20,000 a second. Dask: empty Python functions
through a scheduler to two worker processes, results in memory. HyperQueue: runs of `true` by its server and a worker of two
cores on this machine, a process each; its README says below 0.1 ms of overhead a task (github.com/It4innovations/hyperqueue).
Neither records a result on disk, neither serves batches of one row: the figures say what a claim costs there, not who is
better. Both come from the Python index into DIR; what is absent is skipped. --peers: these alone.
"""
import argparse, os, re, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
HOSTS = os.path.join(HERE, "..", "mpi", "hosts", "hosts.py")
sys.path.insert(0, os.path.dirname(HOSTS))
import hosts

BIN = os.environ.get("ECH_BIN", "build/bin")

DASK = """
import sys, time
from distributed import Client, LocalCluster
if __name__ == "__main__":
    n = int(sys.argv[1])
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
        client.gather(client.map(lambda i: i, range(100), pure=False))
        start = time.time()
        client.gather(client.map(lambda i: i, range(n), pure=False))
        print(n / (time.time() - start))
"""
HYPERQUEUE = """
import sys, time
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
if __name__ == "__main__":
    n = int(sys.argv[1])
    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=2))
        client = cluster.client()
        for count in (2, n):
            job = Job()
            for i in range(count):
                job.program(["true"], stdout=None, stderr=None)
            start = time.time()
            client.wait_for_jobs([client.submit(job)])
        print(n / (time.time() - start))
"""


def echelon(command, what, goal):
    """The median of three. A run shorter than a few groups of syncs (2 s each) measures its own end: it is refused."""
    rates = []
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"its duration.*?\| ([0-9.e+]+) s .*?all ranks \| ([0-9.e+]+) leases/s", done.stdout, re.S)
        if not found or float(found.group(1)) < 6:
            print(f"| Echelon, {what} | failed or too short: {done.stdout[-200:]}{done.stderr.strip()[-200:]} | |")
            return 1
        rates.append(float(found.group(2)))
    rate = statistics.median(rates)
    print(f"| Echelon, {what}, each lease synced to disk | {rate:,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) | "
          f"{rate / goal:.1f} x {goal:,} |", flush=True)
    return 0 if rate >= goal else 1


def peer(python, name, program, tasks, what):
    if subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode != 0:
        print(f"| {name} | skip: not there (pip install {name} into --venv) | |")
        return
    try:
        done = subprocess.run([python, "-c", program, str(tasks)], capture_output=True, text=True, timeout=120)
        rate = f"{float(done.stdout.split()[-1]):,.0f}" if done.returncode == 0 else "failed: " + done.stderr.strip()[-200:]
    except subprocess.TimeoutExpired:
        rate = "no end within 120 s"
    print(f"| {name}, {tasks:,} {what} | {rate} | |", flush=True)


def echelons(folder):
    bench = [f"{BIN}/echelon", "bench", "dispatch", "--folder", folder]
    code = echelon(bench + ["--rows", "8000000", "--ranks", "2"], "2 ranks on one node", 50000)
    why = hosts.refused()
    if why:
        print(f"| Echelon, three hosts | skip: {why} | |")
    else:
        code |= echelon([sys.executable, HOSTS, "3", *bench, "--ranks", "3"], "three hosts", 20000)
    return code


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--venv", default="")
    p.add_argument("--tasks", type=int, default=5000)
    p.add_argument("--peers", action="store_true")
    p.add_argument("--folder", default=os.environ.get("TMPDIR", "/tmp"))
    a = p.parse_args()
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    print("| what | a second | goal |\n|---|---|---|", flush=True)
    code = 0 if a.peers else echelons(a.folder)
    python = os.path.join(a.venv, "bin", "python") if a.venv else sys.executable
    peer(python, "distributed", DASK, a.tasks, "empty functions, 2 workers")
    peer(python, "hyperqueue", HYPERQUEUE, a.tasks, "runs of `true`, 2 cores")
    return code


if __name__ == "__main__":
    sys.exit(main())
