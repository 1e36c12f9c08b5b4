#!/usr/bin/python3
"""jobs.py FAKE_RANK: jobs through a real Slurm of four nodes (lab.py), with the stand-in rank program:
submitted, refused, dependent, in an array, cancelled, put back by the time limit's signal and by a lost node."""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
import lab as slurm

ECHELON = os.path.join(os.environ["ECH_BIN"], "echelon")


class Case:
    """A folder with a job file, and the commands that a user would type in it."""

    def __init__(self, lab, name, fake, under=None, **resources):
        self.lab, self.env, self.path = lab, {"FAKE": fake}, os.path.join(under or os.getcwd(), name)
        self.prefix, self.program = [], ECHELON
        for folder in "data/in", "model":
            os.makedirs(os.path.join(self.path, folder))
        pathlib.Path(self.path, "data/in/dataset.yaml").write_text("x\n")
        values = dict(dict(nodes=1, ranks_per_node=1, threads=1, time="5m"), **resources)
        pathlib.Path(self.path, "job.yaml").write_text(
            "kind: embed\nmodel: model\ninput: {dataset: data/in}\noutput: {dataset: out/v}\nresources: %s\n"
            % json.dumps(values))

    def echelon(self, *words, expect=0):
        done = subprocess.run([*self.prefix, self.program, *words], cwd=self.path, env=dict(os.environ, **self.env), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == expect, "%s: %d\n%s%s" % (words, done.returncode, done.stdout, done.stderr)
        self.said = done.stderr
        return done.stdout

    def become(self, name, **env):
        """The folder and all commands are an ordinary user's from now on, without root's settings of MPI."""
        user = pwd.getpwnam(name)
        for folder, _, files in os.walk(self.path):
            for one in [folder, *(os.path.join(folder, f) for f in files)]:
                os.chown(one, user.pw_uid, user.pw_gid)
        programs = self.lab.programs(ECHELON, os.environ["ECHELON_RANK"])
        self.program = programs[0]
        self.prefix = ["env", "-u", "OMPI_ALLOW_RUN_AS_ROOT", "-u", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "setpriv",
                       "--reuid=%d" % user.pw_uid, "--regid=%d" % user.pw_gid, "--clear-groups"]
        self.env.update(env, HOME=self.path, ECHELON_RANK=programs[1])

    def submit(self, *words):
        """[(run directory, job)]"""
        runs = self.echelon("submit", "job.yaml", *words).split()
        return [(run, json.load(open(run + "/slurm.json"))["job"]) for run in runs]

    def status(self, run):
        return json.loads(self.echelon("status", run, "--json"))

    def log(self, run):
        return "".join(p.read_text() for p in sorted(pathlib.Path(run).glob("slurm-*.out")))

    def sealed(self, run, seconds=40):
        try:
            self.lab.wait_for(lambda: self.status(run)["state"] == "sealed", seconds, run + " sealed")
        except AssertionError:
            print(self.log(run), self.lab.out("squeue", "--states=all"))
            raise


def test_submit(lab):
    c = Case(lab, "submit", "rows=20,ms=10", nodes=2)
    (run, job), = c.submit()
    c.sealed(run)
    lab.wait_state(job, "COMPLETED")
    assert "2 node(s): n[1-2]" in c.log(run), c.log(run)
    assert "#SBATCH --no-kill" in open(run + "/submit.sh").read()
    c.echelon("cancel", run)
    assert "Slurm job %s is not in the queue" % job in c.said, c.said
    (run, job), = c.submit("--set", "output.dataset=out/w", "--set", "slurm=[hold]")
    assert c.status(run)["slurm"]["state"] == "PENDING", c.status(run)  # also within the time of a kept answer
    c.echelon("cancel", run)
    lab.wait_state(job, "CANCELLED")


def test_partition(lab):
    c = Case(lab, "partition", "rows=4")
    out = c.echelon("submit", "job.yaml", "--dry-run")
    assert "--partition" not in out, out
    out = c.echelon("submit", "job.yaml", "--dry-run", "--set", "resources.memory=5GiB")
    assert "#SBATCH --partition=main\n" in out, out
    c.echelon("submit", "job.yaml", "--set", "resources.memory=100GiB", expect=69)
    assert "no partition fits: short: 0 of its 2 nodes fit" in c.said and "main: 0 of its 4" in c.said, c.said
    c.echelon("submit", "job.yaml", "--set", "resources.partition=short", "--set", "resources.time=1h", expect=69)
    assert "its time limit is 600 s, 3600 s are asked for" in c.said, c.said
    assert not os.path.exists(c.path + "/runs") or not os.listdir(c.path + "/runs")


def test_gpu(lab):
    c = Case(lab, "gpu", "rows=4,ms=10", gres="gpu:1", constraint="huge")
    (run, job), = c.submit()
    c.sealed(run)
    assert ": n4\n" in c.log(run), c.log(run)


def test_time_limit(lab):
    c = Case(lab, "time", "rows=100,ms=60")
    (run, job), = c.submit()
    lab.wait_state(job, "RUNNING")
    lab.wait_for(lambda: c.status(run)["rows_done"] > 10, 20, "rows")
    lab.sh("scancel --batch --signal=USR1 " + job)
    lab.wait_for(lambda: "back into the queue" in c.log(run), 20, "the requeue")
    lab.start_again(job)
    c.sealed(run)
    assert "restart 1" in c.log(run), c.log(run)
    assert c.status(run)["attempt"] == 2


def test_no_progress(lab):
    c = Case(lab, "stuck", "rows=2,ms=10,deadall")
    (run, job), = c.submit()
    lab.wait_for(lambda: "back into the queue" in c.log(run), 30, "the first requeue")
    lab.start_again(job)
    lab.wait_for(lambda: os.path.exists(run + "/slurm-stopped"), 30, "the end")
    assert "no progress in two attempts" in c.log(run), c.log(run)
    lab.wait_state(job, "FAILED")


def test_cancel(lab):
    c = Case(lab, "cancel", "rows=1000,ms=50")
    (run, job), = c.submit()
    lab.wait_state(job, "RUNNING")
    lab.wait_for(lambda: c.status(run)["rows_done"] > 2, 20, "rows")
    c.echelon("cancel", run)
    lab.wait_state(job, "CANCELLED", "FAILED")
    assert c.status(run)["state"] != "running" and "cancelled" in c.log(run), c.log(run)


def test_waiting(lab):
    """Pending with the reason; a dependency; cancelled in the queue."""
    c = Case(lab, "waiting", "rows=1000,ms=50", memory="60GiB")
    (run, job), = c.submit()
    lab.wait_state(job, "RUNNING")
    (second, waits), = c.submit()
    (third, depends), = c.submit("--set", "resources.memory=100MiB", "--after", run)
    lab.wait_for(lambda: "(Resources)" in c.status(second)["slurm"]["why"], 15, "a reason")
    lab.wait_for(lambda: "waits for another job" in c.echelon("status", third), 15, "the dependency")
    listed = c.echelon("status", "--all")
    assert listed.count("PENDING") == 2 and listed.count("RUNNING") == 1, listed
    c.echelon("cancel", second)
    lab.wait_state(waits, "CANCELLED")
    c.echelon("cancel", run)
    lab.wait_state(depends, "CANCELLED")


def test_array(lab):
    """Ten datasets where an array may have eight tasks: two arrays."""
    c = Case(lab, "array", "rows=2,ms=10")
    names = ["part%d" % i for i in range(10)]
    for name in names:
        os.makedirs(os.path.join(c.path, "data", name))
        pathlib.Path(c.path, "data", name, "dataset.yaml").write_text("x\n")
    pathlib.Path(c.path, "list").write_text("# these\n" + "".join("data/%s/\n" % n for n in names))
    runs = c.submit("--each", "list", "--throttle", "3")
    assert [int(job.split("_")[1]) for _, job in runs] == [*range(8), 0, 1], runs
    for (run, _), name in zip(runs, names):
        c.sealed(run)
        text = pathlib.Path(run, "job.yaml").read_text()
        assert "/data/" + name in text and "/out/v/" + name in text, text


class Real(Case):
    """With the real rank program and model; the output is read by h5py where it matters."""

    def __init__(self, lab, name, job, rows=40, words=1, **env):
        super().__init__(lab, name, "")
        self.env = dict(env, ECHELON_RANK=os.path.join(os.environ["ECH_BIN"], "echelon-rank"))
        model = os.path.join(os.environ["ECH_TEST_MODELS"], "all-MiniLM-L6-v2")
        pathlib.Path(self.path, "rows.jsonl").write_text("".join('{"text": "%s%d"}\n' % ("row " * words, i) for i in range(rows)))
        self.echelon("data", "import", "rows.jsonl", "data/rows")
        pathlib.Path(self.path, "job.yaml").write_text("model: %s\n%s" % (model, job))

    def output(self):
        """name -> bytes of the dataset's files."""
        return {p.name: p.read_bytes() for p in pathlib.Path(self.path, "out/v").iterdir() if p.is_file()}

    def hosts(self, run):
        return sorted(rank["host"] for rank in self.status(run)["ranks"])


EMBED = "kind: embed\ninput: {dataset: data/rows}\noutput: {dataset: out/v}\n"


def test_steps(lab):
    """Over two nodes; a step waits for the one that makes its input, and what is done is not done again."""
    c = Real(lab, "steps", "resources: {ranks_per_node: 1, threads: 1, time: 5m}\nsteps:\n"
             "  - {name: hits, after: vectors, kind: retrieve, output: {dataset: out/h},\n"
             "     options: {index: out/v, query: [row 7], top_k: 1}}\n"
             "  - {name: vectors, kind: embed, input: {dataset: data/rows}, output: {dataset: out/v},\n"
             "     resources: {nodes: 2}}\n")
    (first, one), (second, two) = c.submit()
    assert "--dependency=afterok:%s\n" % one in open(second + "/submit.sh").read()
    assert c.submit() == [(first, one), (second, two)], c.said  # what is in the queue stays there
    c.sealed(second)
    assert c.hosts(first) == ["n1", "n2"], c.status(first)
    assert "rows             7\n" in c.echelon("data", "head", "out/h")
    lab.wait_state(two, "COMPLETED")
    lab.wait_for(lambda: c.submit() and c.said.count("nothing to do") == 2, 10, "both are known to be done")


def test_het(lab):
    """One world of two unlike components, started by srun."""
    c = Real(lab, "het", EMBED + "resources: {ranks_per_node: 1, threads: 1, time: 5m, constraint: small,\n"
             "  partition: main, launcher: srun,\n"
             "  components: [nodes=1 ntasks-per-node=2 cpus-per-task=2 constraint=huge]}\n")
    (run, job), = c.submit()
    assert "death of a rank ends an attempt" in c.said, c.said
    c.sealed(run)
    assert c.hosts(run) == ["n1", "n4", "n4"], c.status(run)
    assert lab.state(job).split() == ["COMPLETED", "COMPLETED"] or lab.wait_for(
        lambda: lab.state(job).split() == ["COMPLETED", "COMPLETED"], 20, lab.state(job))
    c.echelon("submit", "job.yaml", "--set", "resources.launcher=mpirun", "--set", "output.exists=replace", expect=78)


def test_srun(lab):
    """Under srun a rank's death takes the others of its node along; the job comes back and is finished."""
    c = Real(lab, "srun", EMBED + "resources: {nodes: 1, ranks_per_node: 2, threads: 1, time: 5m, launcher: srun}\n",
             rows=4000, ECH_FAULT="turn:30:kill@1/1")
    (run, job), = c.submit()
    lab.wait_for(lambda: "back into the queue" in c.log(run), 30, "the requeue")
    lab.start_again(job)
    c.sealed(run)
    assert c.status(run)["attempt"] == 2 and c.hosts(run) == ["n1", "n1"], c.status(run)


def test_unlike(lab):
    """Nobody says how many ranks: each node gets what it has (a rank a socket), by mpirun, by srun and in the plan."""
    c = Real(lab, "unlike", EMBED + "resources: {nodes: 2, threads: 1, time: 5m, partition: main}\n")
    for launcher in "mpirun", "srun":
        more = ["--set", "resources.launcher=" + launcher, "--set", "output.exists=replace",
                "--set", 'slurm=["nodelist=n2,n3"]', "--set", "resources.threads="]
        (run, job), = c.submit(*more)
        c.sealed(run)
        assert c.hosts(run) == ["n2", "n3", "n3", "n3", "n3"], (launcher, c.status(run))
    script = "for n in 2 1; do %s plan job.yaml --json --set resources.threads= --set resources.nodes=$n; done" % ECHELON
    job = lab.out("env", "-C", c.path, "ECHELON_RANK=" + c.env["ECHELON_RANK"], "sbatch", "--parsable", "-p", "main",
                  "-w", "n2,n3", "--exclusive", "-o", "plan", "--wrap", script).strip()
    lab.wait_state(job, "COMPLETED")
    plans = [json.loads(line) for line in pathlib.Path(c.path, "plan").read_text().splitlines() if line.startswith("{")]
    assert [[r["host"] for r in p["ranks"]] for p in plans] == [["n2"] + ["n3"] * 4, ["n2"]], plans


def test_cluster(lab):
    """A cluster file: the nodes of its classes, less one, each with the ranks of its class; as components of srun."""
    c = Real(lab, "cluster", EMBED + "resources: {time: 5m}\n")
    pathlib.Path(c.path, "c.yaml").write_text(
        "exclude: [n2]\nclasses:\n  small: {hosts: 'n[1-2]', ranks_per_node: 1, threads: 1}\n"
        "  big: {hosts: n3, ranks_per_node: 2, threads: 2}\n")
    (run, job), = c.submit("--cluster", "c.yaml")
    script = open(run + "/submit.sh").read()
    assert "--nodelist=n1,n3\n" in script and "--partition=main\n" in script and "--exclusive" in script, script
    c.sealed(run)
    assert c.hosts(run) == ["n1", "n3", "n3"], c.status(run)
    again = ["--set", "output.exists=replace"]
    out = c.echelon("submit", "job.yaml", "--cluster", "c.yaml", "--dry-run", "--set", "resources.nodes=1", *again)
    assert "#SBATCH --exclude=n2,n4\n" in out and "--nodelist" not in out, out
    (run, job), = c.submit("--cluster", "c.yaml", "--set", "resources.launcher=srun", *again)
    assert "#SBATCH hetjob\n#SBATCH --nodes=1\n#SBATCH --ntasks-per-node=2\n" in open(run + "/submit.sh").read()
    c.sealed(run)
    assert c.hosts(run) == ["n1", "n3", "n3"], c.status(run)
    pathlib.Path(c.path, "c.yaml").write_text("classes: {huge: {count: 1}, odd: {hosts: n9}}\n")
    c.echelon("submit", "job.yaml", "--cluster", "c.yaml", *again, expect=78)
    pathlib.Path(c.path, "c.yaml").write_text("classes: {huge: {count: 1}}\n")
    out = c.echelon("submit", "job.yaml", "--cluster", "c.yaml", "--dry-run", *again)
    assert "#SBATCH --constraint=huge\n" in out and "#SBATCH --partition=main\n" in out, out


def test_preempted(lab):
    """A job of a partition that goes before takes the node away: back in the queue, and the bytes are the same."""
    one = "resources: {ranks_per_node: 1, threads: 1, constraint: big, partition: main}\n"
    c = Real(lab, "preempted", EMBED + one, rows=500, words=120)
    calm = Real(lab, "calm", EMBED + one, rows=500, words=120)
    reference = subprocess.Popen([ECHELON, "run", "job.yaml"], cwd=calm.path, env=dict(os.environ, **calm.env),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (run, job), = c.submit()
    lab.wait_state(job, "RUNNING")
    lab.wait_for(lambda: c.status(run)["rows_done"] > 50, 30, "rows")
    urgent = lab.out("sbatch", "--parsable", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1").strip()
    lab.wait_for(lambda: lab.state(job) == "PENDING", 30, "the preemption (%s)" % lab.state(job))
    assert "back into the queue" not in c.log(run), c.log(run)  # Slurm's own doing
    lab.wait_state(urgent, "COMPLETED")
    lab.start_again(job)
    c.sealed(run)
    view = c.status(run)
    assert "restart 1" in c.log(run) and view["attempt"] == 2, (c.log(run), view)
    assert reference.wait(60) == 0 and c.output() == calm.output() and c.output()


def test_left_out(lab):
    """A node that failed in three attempts: not used where it is in the allocation, and not asked for again."""
    c = Case(lab, "out", "rows=60,ms=60", nodes=2)
    (run, job), = c.submit("--set", "slurm=[hold]")
    os.makedirs(run + "/nodes/n1", exist_ok=True)
    for n in 1, 2, 3:
        common = {"v": 1, "run": os.path.basename(run), "attempt": n, "epoch": 0, "node": 0, "rank": 0, "mono_ns": 1,
                  "wall": "2026-01-01T00:00:00.000Z"}
        dead = dict(common, seq=1, type="dead", who=1, host="n1", reason="forged")
        start = dict(common, seq=1, rank=1, type="start", host="n1", pid=1)
        pathlib.Path(run, "nodes/n1/events-%d-1.jsonl" % n).write_text(json.dumps(start, separators=(",", ":")) + "\n")
        pathlib.Path(run, "nodes/n1/events-%d-0.jsonl" % n).write_text(json.dumps(dead, separators=(",", ":")) + "\n")
        pathlib.Path(run, "launch-%d.json" % n).write_text(json.dumps(
            {"attempt": n, "pid": 1, "pid_start": 1, "host": "n2", "ranks": 2, "started": common["wall"], "command": ["x"]}))
    lab.sh("scontrol release " + job)
    lab.wait_for(lambda: c.status(run)["rows_done"] > 5, 20, "rows")
    assert "attempt 4 leaves out n1 (failed in 3 attempts): 1 rank" in c.log(run), c.log(run)
    lab.sh("scancel --batch --signal=USR1 " + job)
    lab.wait_for(lambda: "from now on without n1" in c.log(run), 20, "the exclusion")
    lab.wait_state(job, "PENDING")
    assert "ExcNodeList=n1" in lab.out("scontrol", "show", "job", job)
    lab.sh("scontrol update JobId=%s Partition=main" % job)
    lab.start_again(job)
    c.sealed(run)
    assert "2 node(s): n[2-3]" in c.log(run), c.log(run)


def test_user(lab):
    """Nobody's root: the user's own mpirun by PATH, then by ECHELON_MPIRUN; what is exported arrives."""
    c = Case(lab, "user", "rows=10,ms=10", under=lab.open_to_all())
    site = os.path.join(c.path, "site")
    os.makedirs(site)
    pathlib.Path(site, "mpirun").write_text(
        "#!/bin/sh\necho \"$(id -un) $0 $SITE_MODULE\" >>%s/used\nexec %s \"$@\"\n" % (c.path, shutil.which("mpirun")))
    os.chmod(site + "/mpirun", 0o755)
    c.become("nobody", SITE_MODULE="openmpi/4.1", PATH=site + ":" + os.environ["PATH"])
    (run, job), = c.submit()
    c.sealed(run)
    used = pathlib.Path(c.path, "used")
    assert used.read_text() == "nobody %s/mpirun openmpi/4.1\n" % site, used.read_text()
    assert os.stat(c.path + "/out").st_uid == os.stat(run).st_uid == os.stat(c.path).st_uid != 0
    used.unlink()
    c.become("nobody", SITE_MODULE="", ECHELON_MPIRUN=site + "/mpirun")
    (run, job), = c.submit("--set", "output.dataset=out/w", "--set", 'slurm=["export=ALL,SITE_MODULE=a b"]')
    c.sealed(run)
    assert used.read_text() == "nobody %s/mpirun a b\n" % site, used.read_text()


def test_node_death(lab):
    c = Case(lab, "death", "rows=160,ms=60", constraint="small")
    (run, job), = c.submit()
    lab.wait_state(job, "RUNNING")
    lab.wait_for(lambda: c.status(run)["rows_done"] > 10, 20, "rows")
    lab.crash(lab.out("squeue", "-h", "-j", job, "-o", "%N").strip())
    lab.wait_for(lambda: lab.state(job) == "PENDING", 60, "the requeue (%s)" % lab.state(job))
    lab.start_again(job)
    c.sealed(run, 60)
    assert "restart 1" in c.log(run), c.log(run)


def begin_clock(lab):
    """It has a minute, most of which it sleeps, while the other tests go on."""
    c = Real(lab, "clock", EMBED + "resources: {threads: 1}\n", rows=3000, words=120)
    script = "sleep 44; exec %s run job.yaml" % ECHELON
    c.job = subprocess.run(["sbatch", "--parsable", "-p", "main", "-w", "n4", "-t", "1", "-o", "log", "--wrap", script],
                           cwd=c.path, env=dict(os.environ, **c.env), stdout=subprocess.PIPE, text=True).stdout.strip()
    return c


def test_clock(lab):
    """A job that does not say its time and gets no signal: it asks Slurm, and stops itself in time."""
    c = lab.clock
    lab.wait_state(c.job, "FAILED", "TIMEOUT", seconds=90)
    log = pathlib.Path(c.path, "log").read_text()
    assert lab.state(c.job) == "FAILED" and "go on with: echelon resume" in log, (lab.state(c.job), log)
    run = max(map(str, pathlib.Path(c.path, "runs").iterdir()))
    result = json.load(open(run + "/result-1.json"))
    assert (result["code"], result["state"]) == (75, "stopped") and 0 < c.status(run)["rows_done"] < 3000, result


def main():
    slurm.enter()
    os.environ.update(ECHELON_RANK=sys.argv[1], OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    os.environ.pop("ECH_LOG", None)
    root = tempfile.mkdtemp(prefix="ech-slurm-", dir="/tmp")  # names of sockets are short
    try:
        begin = time.monotonic()
        lab = slurm.Lab(root)
        print("four nodes in %.1f s" % (time.monotonic() - begin), flush=True)
        names = [n for n in globals() if n.startswith("test_") and (len(sys.argv) < 3 or n in sys.argv[2:])]
        lab.clock = begin_clock(lab) if "test_clock" in names else None
        for name in names:
            begin = time.monotonic()
            globals()[name](lab)
            print("%s %.1f s" % (name, time.monotonic() - begin), flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
