#!/usr/bin/python3
"""A rank stopped (SIGSTOP) past its deadline and woken later writes nothing that counts, and the job ends without it.

Checks: the run is sealed with the bytes of an undisturbed one while the rank is stopped; the woken rank ends with
status 75 by itself (or with its mpirun); its spool file has not grown since it was declared dead.
"""
import os, pathlib, signal, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import loop

def main():
    if loop.lacks():
        return 77
    where = pathlib.Path.cwd() / "stopped"
    where.mkdir()
    (where / "texts.txt").write_text("\n".join(loop.texts(4000)) + "\n")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "texts.txt"), str(where / "texts")], check=True, **quiet)
    for name in ("calm", "hit"):
        (where / f"{name}.yaml").write_text(loop.job(where, name))
    subprocess.run([f"{loop.BIN}/echelon", "run", str(where / "calm.yaml"), "--ranks", "2"], check=True, **quiet)
    child = subprocess.Popen([f"{loop.BIN}/echelon", "run", str(where / "hit.yaml"), "--ranks", "3"], **quiet)
    victim, spool = None, None
    until = time.time() + 60
    while not victim and time.time() < until and child.poll() is None:
        time.sleep(0.02)
        run_dir = loop.run_dir_of(where / "runs-hit")
        spools = sorted(run_dir.glob("nodes/*/spool-1-2")) if run_dir else []
        if spools and spools[0].stat().st_size:  # not in the middle of its first write
            spool = spools[0]
            for events in run_dir.glob("nodes/*/events-1-2.jsonl"):
                for line in events.read_text().splitlines():
                    if '"start"' in line:
                        victim = int(line.split('"pid":')[1].split(",")[0].strip())
    if not victim:
        sys.exit(f"FAIL: rank 2 never spooled (launcher ended with {child.poll()})")
    os.kill(victim, signal.SIGSTOP)
    time.sleep(2.5)  # past the heartbeat of 1 s
    size = spool.stat().st_size
    os.kill(victim, signal.SIGCONT)
    code = child.wait(timeout=120)
    time.sleep(0.5)
    grown = spool.stat().st_size - size
    if code != 0:
        sys.exit(f"FAIL: the run ended with {code}")
    if grown:
        sys.exit(f"FAIL: the woken rank wrote {grown} bytes")
    if loop.digest(where / "hit") != loop.digest(where / "calm"):
        sys.exit("FAIL: other bytes")
    dead = [l for f in run_dir.glob("nodes/*/log-1-*") for l in f.read_text().splitlines() if "declared dead" in l]
    if not dead:
        sys.exit("FAIL: nobody declared the stopped rank dead")
    print("sealed without the stopped rank; it wrote nothing when it woke")
    return 0

if __name__ == "__main__":
    sys.exit(main())
