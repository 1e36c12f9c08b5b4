#!/usr/bin/python3
"""outcomes.py [CASE...]: what each fault does to a job on three hosts (tests/mpi/hosts), as the design promises it.

Each case starts a job, lets something happen (by an injection point, ECH_FAULT and ECH_FAULT_LAUNCHER of base/fault.h, or
by the lab: a link down, a host off), and checks the status, who was declared dead, what the message says, that the output
has the bytes of an undisturbed run, and that within 30 s no process of the job and nothing of it in /dev/shm is left on
any host that lives. Four cases at a time, each in namespaces of its own.
"""
import json, os, pathlib, signal, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "mpi", "hosts")]
import hosts, loop

ROWS = 1200
ORPHANS_S = 30


class Run:
    """One case: its job, its hosts, what is expected of it."""

    def __init__(self, lab, where, name, slots=1, ranks=3, only=None, **settings):
        self.lab, self.where, self.name, self.ranks = lab, where, name, ranks
        self.runs, self.log = where / f"runs-{name}", where / f"{name}.log"
        text = loop.job(where, name).replace("heartbeat: 1s", "heartbeat: 2s")
        for key, value in settings.items():
            head = f"{key}: "
            text = text.replace("limits: {", "limits: {" + f"{key}: {value}, ") if key == "disk_full" else text
            text = text.replace("phase: 20s", f"phase: {value}") if key == "phase" else text
            text = text.replace("heartbeat: 2s", f"heartbeat: {value}") if key == "heartbeat" else text
            text += f"{head}{value}\n" if key == "retries" else ""
            text = text.replace(str(self.runs), value) if key == "runs" else text
        if "runs" in settings:
            self.runs = pathlib.Path(settings["runs"])
        (where / f"{name}.yaml").write_text(text)
        self.environment = lab.environment(slots, only)

    def start(self, fault=None, launcher=None, resume=False):
        env = dict(self.environment)
        if fault:
            env["ECH_FAULT"] = fault
        if launcher:
            env["ECH_FAULT_LAUNCHER"] = launcher
        words = ["resume", str(self.dir())] if resume else ["run", str(self.where / f"{self.name}.yaml")]
        self.child = self.lab.popen(1, [f"{loop.BIN}/echelon", *words, "--ranks", str(self.ranks)], env,
                                    stdout=subprocess.DEVNULL, stderr=open(self.log, "ab"))
        return self

    def dir(self):
        return loop.run_dir_of(self.runs) if self.runs.exists() else None

    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def fail(self, why):
        logs = "".join(f.read_text()[-1500:] for f in sorted(self.dir().glob("mpirun-*.log"))) if self.dir() else ""
        sys.exit(f"FAIL {self.name}: {why}\n{self.said()[-2500:]}\n{logs}")

    def end(self, code, seconds=60):
        try:
            got = self.child.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"no end within {seconds} s")
        if got not in (code if isinstance(code, tuple) else (code,)):
            self.fail(f"status {got}, {code} was expected")
        return self

    def rows_run(self, rank, least=1, seconds=40):
        """Until a rank has spooled something: its process (as seen from here) on its host."""
        until = time.time() + seconds
        while time.time() < until and self.child.poll() is None:
            spools = [s for s in self.dir().glob(f"nodes/*/spool-1-{rank}") if s.stat().st_size >= least] if self.dir() else []
            if spools:
                return spools[0]
            time.sleep(0.01)
        self.fail(f"rank {rank} never spooled")

    def in_phase(self, name, seconds=40):
        """Until rank 0 says so; "open" comes before it can say anything."""
        until = time.time() + seconds
        while time.time() < until and self.child.poll() is None:
            events = list(self.dir().glob("nodes/*/events-1-0.jsonl")) if self.dir() else []
            phases = [line for line in events[0].read_text().splitlines() if '"phase"' in line] if events else []
            if f'"{name}"' in phases[-1] if phases else events and name == "open":
                return self
            time.sleep(0.01)
        self.fail(f"phase {name} was not seen")

    def pid(self, host, name="echelon-rank"):
        found = [pid for pid, comm, _ in self.lab.processes(host) if comm == name]
        return found[0] if found else self.fail(f"no {name} on node{host}")

    def dead(self, expected):
        said = subprocess.run([f"{loop.BIN}/echelon", "status", str(self.dir()), "--json"], capture_output=True, text=True)
        dead = json.loads(said.stdout)["dead"]
        if dead != expected:
            self.fail(f"declared dead: {dead}, expected: {expected}")
        return self

    def says(self, *words):
        for word in words:
            if word not in self.said():
                self.fail(f"'{word}' is not said")
        return self

    def clean(self, but=()):
        """Nothing is left on the hosts that live."""
        until, left = time.time() + ORPHANS_S, None
        for k in self.lab.pids:
            while k not in but:
                left = ([(p, c) for p, c, _ in self.lab.processes(k)], self.lab.shm(k))
                if left == ([], []):
                    break
                if time.time() > until:
                    self.fail(f"left on node{k} after {ORPHANS_S} s: {left}")
                time.sleep(0.1)
        return self

    def same(self):
        if loop.digest(self.where / self.name) != (self.where / "calm.digest").read_text():
            self.fail("other bytes")
        return self


def killed(lab, where):
    Run(lab, where, "killed").start("turn:100:kill@2").end(0).dead([2]).clean().same()


def hung(lab, where):
    """Stopped past the heartbeat, woken while the others still run or after: it writes nothing more and leaves."""
    run = Run(lab, where, "hung").start("turn:100:stop@1")
    spool = run.rows_run(0)
    until = time.time() + 20
    while time.time() < until and "declared dead" not in "".join(f.read_text() for f in run.dir().glob("nodes/*/log-1-*")):
        time.sleep(0.05)
    spools = list(run.dir().glob("nodes/*/spool-1-1"))
    size = [s.stat().st_size for s in spools]
    for pid, comm, _ in lab.processes(2):
        if comm == "echelon-rank":
            os.kill(pid, signal.SIGCONT)
    run.end(0).dead([1]).clean().same()
    if size != [s.stat().st_size for s in spools] or not spool.exists():
        run.fail("the woken rank wrote")


def memory(lab, where):
    Run(lab, where, "memory").start("turn:100@1").end(0).dead([1]).says("cannot go on and leaves").clean().same()


def node(lab, where):
    """A host with two ranks is switched off."""
    run = Run(lab, where, "node", slots=2, ranks=6).start()
    run.rows_run(2)
    lab.kill(2)
    run.end(0).dead([2, 3]).clean()
    lab.boot(2)
    run.clean().same()


def link(lab, where):
    """Cut off while rows run: the job goes on; the host cleans up by itself."""
    run = Run(lab, where, "link").start()
    run.rows_run(1)
    lab.link(2, False)
    run.end(0).dead([1]).clean().same()


def stuck(lab, where):
    """Cut off with its rank stopped: its daemon misses mpirun, and the host cleans up by itself."""
    run = Run(lab, where, "stuck").start("turn:100:stop@1")
    run.rows_run(0)
    lab.link(2, False)
    run.end(0).dead([1]).clean().same()


def frozen(lab, where):
    """All processes of a host stand still, and the coordinator dies: nobody can clean up there. The run's next start does."""
    run = Run(lab, where, "frozen").start()
    run.rows_run(1)
    lab.link(2, False)
    for pid, _, _ in lab.processes(2):
        os.kill(pid, signal.SIGSTOP)
    os.kill(run.pid(1), signal.SIGKILL)
    run.end(75).clean(but=[2])
    if not lab.processes(2):
        run.fail("nothing was left on node2: this case shows nothing")
    lab.link(2, True)
    run.start(resume=True).end(0).clean().same()


def coordinator(lab, where):
    run = Run(lab, where, "coordinator").start("turn:100:kill@0").end(75).clean()
    run.start(resume=True).end(0).clean().same()


def coordinator_stopped(lab, where):
    """Nobody reports a coordinator that is stopped: the others leave, and the launcher ends what is left."""
    run = Run(lab, where, "coordinator_stopped", disk_full="1s", phase="6s").start("turn:100:stop@0")
    run.end(75).says("rank 0 on node1, the coordinator, has told nothing").clean()
    run.start(resume=True).end(0).clean().same()


def coordinator_retry(lab, where):
    Run(lab, where, "coordinator_retry", retries=1).start("turn:100:kill@0/1").end(0).says("attempt 2 of").clean().same()


def mpirun(lab, where):
    Run(lab, where, "mpirun", retries=1).start(launcher="turn:7").end(0).says("mpirun was killed").clean().same()


def launcher(lab, where):
    run = Run(lab, where, "launcher").start(launcher="turn:7:kill").end((-9, 137)).clean()
    run.start(resume=True).end(0).clean().same()


def collective(lab, where):
    """Nobody can wait its way out of a collective: the watchdog ends it, and names who is silent."""
    run = Run(lab, where, "collective", phase="6s", retries=1).start("collective:20:stop@2/1")
    run.end(0).says("rank 2 on node3 is silent", "attempt 2 of").clean().same()


def cut_off(run, host, phase, fault, busy=()):
    """A host is cut off in a phase in which all wait for all: within 30 s nobody is left, on either side. busy: on these
    hosts a rank says something then, so that its daemon waits for mpirun to take it."""
    run.start(fault).in_phase(phase)
    run.lab.link(host, False)
    began = time.time()
    for k in busy:
        with open(f"/proc/{run.pid(k)}/fd/2", "w") as stderr:
            stderr.write("a word on its way\n")
    run.end(75, ORPHANS_S).clean()
    took = time.time() - began
    if took > ORPHANS_S:
        run.fail(f"the last process went after {took:.1f} s")
    print(f"{run.name}: all gone after {took:.1f} s", flush=True)
    run.lab.link(host, True)
    run.start(resume=True).end(0).clean().same()


def cut_in_open(lab, where):
    """The coordinator's host, with the launcher."""
    cut_off(Run(lab, where, "cut_in_open", phase="200s"), 1, "open", "open:5:slow=100s@1", busy=[2, 3])


def cut_in_seal(lab, where):
    """The same with the heartbeat as it is by default."""
    cut_off(Run(lab, where, "cut_in_seal", phase="200s", heartbeat="10s"), 1, "seal", "fsync:2:slow=1500ms@1")


def cut_from_launcher(lab, where):
    """The coordinator's host alone: the launcher is on another one."""
    cut_off(Run(lab, where, "cut_from_launcher", ranks=2, only=[2, 3], phase="200s"), 2, "seal", "fsync:2:slow=1500ms@1")


def cut_behind(lab, where):
    """As where there are more hosts than MPI joins to mpirun by itself: the daemon of node3 would lie behind that of node2."""
    run = Run(lab, where, "cut_behind", phase="200s")
    run.environment["OMPI_MCA_routed_radix"] = "1"
    cut_off(run, 3, "seal", "fsync:2:slow=1500ms@1")


def daemon_files(lab, where):
    """A daemon and mpirun killed before a rank has come: the next start on that host removes what lies in its TMPDIR."""
    run = Run(lab, where, "daemon_files").start()
    until = time.time() + 20
    while time.time() < until and not lab.tmp(2):
        time.sleep(0.002)
    for host, name in ((2, "orted"), (1, "mpirun")):
        os.kill(run.pid(host, name), signal.SIGKILL)
    run.end(75).clean()
    if not lab.tmp(2):
        run.fail("nothing was left in TMPDIR: this case shows nothing")
    run.start(resume=True).end(0).clean().same()
    left = [name for k in lab.pids for name in lab.tmp(k)]
    if left:
        run.fail(f"left in TMPDIR: {left}")


def three_times(lab, where):
    run = Run(lab, where, "three_times", phase="4s", retries=3).start("collective:20:kill@2")
    run.end(0, 120).says("rank 2 on node3 is silent", "attempt 4 leaves out node3 (failed in 3 attempts): 2 ranks").clean().same()


def unreachable(lab, where):
    """A host that is not there when the ranks start is left out of the next attempt."""
    run = Run(lab, where, "unreachable", retries=1)
    lab.link(3, False)
    run.start().end(0).says("attempt 2 leaves out node3 (does not answer): 2 ranks").clean().same()


def cut_in_start(lab, where):
    """A host cut off when its daemon has just been started: no rank comes, mpirun would wait for ever."""
    run = Run(lab, where, "cut_in_start", phase="8s", retries=1).start()
    until = time.time() + 20
    while time.time() < until and "orted" not in [comm for _, comm, _ in lab.processes(2)]:
        time.sleep(0.001)
    lab.link(2, False)
    run.end(0, 90).says("no rank has started within 8", "attempt 2 leaves out node2 (does not answer): 2 ranks").clean(but=[2]).same()
    lab.link(2, True)
    run.clean()


def full(lab, where):
    """A disk that is full for longer than limits.disk_full: 74; with room again it goes on."""
    disk = where / "disk-full"
    run = Run(lab, where, "full", disk_full="2s", runs=str(disk / "runs"))
    run.start().end(74).says("No space left on device", "resume").clean()
    for k in [None] + list(lab.pids):
        subprocess.run((["nsenter", "-t", str(lab.pids[k][1]), "-m", "-r"] if k else []) + ["mount", "-o", "remount,size=64m", str(disk)],
                       check=True)
        break
    run.start(resume=True).end(0).clean().same()


def readonly(lab, where):
    """Read-only for 20 s: waited for like a full disk, no row is lost, nobody dies."""
    began = time.time()
    run = Run(lab, where, "readonly").start("write:20:readonly=20s@1").end(0, 90).dead([]).clean().same()
    if time.time() - began < 15:
        run.fail("it ended too early to have been read-only")


def slow(lab, where):
    """A disk slower than the heartbeat makes a rank late, not dead."""
    Run(lab, where, "slow", phase="80s").start("fsync:2:slow=2500ms@1").end(0, 120).dead([]).clean().same()


def clock(lab, where):
    Run(lab, where, "clock").start("clock:8:jump=3600s@1").end(0).dead([]).clean().same()


def clock_back(lab, where):
    run = Run(lab, where, "clock_back").start("clock:8:jump=-3600s@0").end(0).dead([]).clean().same()
    said = subprocess.run([f"{loop.BIN}/echelon", "status", str(run.dir())], capture_output=True, text=True)
    if said.returncode != 0 or "sealed" not in said.stdout:
        run.fail(f"status: {said.stdout}{said.stderr}")


CASES = {f.__name__: f for f in (three_times, cut_in_seal, cut_in_open, cut_in_start, coordinator_stopped, readonly, cut_from_launcher, cut_behind, daemon_files, slow, collective, full, stuck, frozen, coordinator, launcher, mpirun, node, link,
                                 hung, killed, memory, coordinator_retry, unreachable, clock, clock_back)}


def one(name, where):
    """In namespaces of its own."""
    if name == "full":  # the hosts' own mount namespaces see it too
        (where / "disk-full").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(where / "disk-full")], check=True)
    began = time.time()
    with hosts.Lab(3) as lab:
        CASES[name](lab, where)
    print(f"{name}: as promised ({time.time() - began:.0f} s)", flush=True)
    return 0


def prepare(where):
    where.mkdir()
    (where / "texts.txt").write_text("\n".join(loop.texts(ROWS)) + "\n")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
    subprocess.run([f"{loop.BIN}/echelon", "data", "import", str(where / "texts.txt"), str(where / "texts")], **quiet)
    (where / "calm.yaml").write_text(loop.job(where, "calm"))
    subprocess.run([f"{loop.BIN}/echelon", "run", str(where / "calm.yaml"), "--ranks", "1"], **quiet)
    (where / "calm.digest").write_text(loop.digest(where / "calm"))


def run_all(names, where):
    """Four at a time: most of the time they wait."""
    waiting, running, bad, began = list(names), {}, [], time.time()
    while waiting or running:
        while waiting and len(running) < 4:
            name = waiting.pop(0)
            running[name] = subprocess.Popen([sys.executable, __file__, "--one", name, str(where)])
        for name, child in list(running.items()):
            if child.poll() is not None:
                del running[name]
                bad += [name] if child.returncode else []
        time.sleep(0.02)
    print(f"{len(names)} cases in {time.time() - began:.0f} s; failed: {' '.join(bad) or 'none'}")
    return 1 if bad else 0


def main():
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    if sys.argv[1:2] == ["--one"]:
        hosts.enter()
        return one(sys.argv[2], pathlib.Path(sys.argv[3]))
    why = hosts.refused()
    if not os.path.exists(f"{loop.MODELS}/all-MiniLM-L6-v2/model.safetensors"):
        why = "data: all-MiniLM-L6-v2 is not there (ci/get-model)"
    if why:
        print(f"SKIP {why}")
        return 77
    unknown = [n for n in sys.argv[1:] if n not in CASES]
    if unknown:
        print(f"no case {unknown[0]}; there are: {' '.join(CASES)}", file=sys.stderr)
        return 64
    where = pathlib.Path.cwd() / "outcomes"
    prepare(where)
    return run_all(sys.argv[1:] or CASES, where)


if __name__ == "__main__":
    sys.exit(main())
