"""A Slurm of four unlike nodes on this machine, up in about a second: munged, slurmctld and one slurmd a node,
each node in network, host name, mount and process namespaces of its own. Whoever imports it calls enter() first:
it starts the calling script again as process 1 of a process namespace, so that nothing outlives the script.
No systemd, nothing under /etc is changed (/etc/hosts is covered inside the namespaces)."""
import os
import shutil
import signal
import subprocess
import sys
import time

NODES = {  # name: (cores, MiB, features, weight, gres)
    "n1": (2, 2000, "small,eth", 10, ""),
    "n2": (2, 2000, "small,eth", 10, ""),
    "n3": (4, 8000, "big,ib", 50, ""),
    "n4": (8, 64000, "huge,ib", 100, "gpu:2"),
}
NET = "10.87.0."
CONTROL = 254
# A bash as process 1 of a node collects the orphans of slurmstepd.
NODE = """set -e
hostname {name}
mount --bind {root}/hosts /etc/hosts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.01; done
ip addr add {address}/24 dev eth0
ip link set eth0 up
export SLURM_CONF={root}/slurm.conf
slurmd -D -N {name} -f {root}/slurm.conf >{root}/slurmd.{name}.out 2>&1 &
while :; do wait || :; sleep 3600 & done
"""


def skip(reason):
    print("SKIP slurm: " + reason)
    sys.exit(77)


def enter():
    """Run this script again inside namespaces of its own; returns there alone."""
    if os.environ.get("ECH_SLURM_LAB") == "inside":
        return
    for program in "slurmctld", "slurmd", "munged", "ip", "unshare":
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            skip(program + " is not installed")
    if os.geteuid() != 0:
        skip("only root may make the namespaces of the nodes")
    probe = "ip link add ech-probe type bridge && mount -t tmpfs tmpfs /mnt"
    if subprocess.run(["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "sh", "-c", probe],
                      stderr=subprocess.DEVNULL).returncode:
        skip("this machine lets nobody make network and mount namespaces")
    environment = dict(os.environ, ECH_SLURM_LAB="inside", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    inside = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--uts", "--mount", "--pid", "--fork",
              "--kill-child", "--mount-proc"]
    sys.exit(subprocess.run(inside + [sys.executable] + sys.argv, env=environment).returncode)


class Lab:
    def __init__(self, root):
        self.root = root
        self.nodes = {}
        for folder in "state", "spool", "tmp":
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        self.write("hosts", "127.0.0.1 localhost\n%s%d ctl\n" % (NET, CONTROL) +
                   "".join("%s%d %s\n" % (NET, i + 1, n) for i, n in enumerate(NODES)))
        self.write("slurm.conf", self.config())
        self.write("gres.conf", "NodeName=n4 Name=gpu File=/dev/zero,/dev/full\n")
        os.environ["SLURM_CONF"] = os.path.join(root, "slurm.conf")
        self.sh("hostname ctl && ip link set lo up && ip link add br0 type bridge && "
                "ip addr add %s%d/24 dev br0 && ip link set br0 up && mount --bind %s/hosts /etc/hosts"
                % (NET, CONTROL, root))
        self.start_munge()
        self.daemon(["slurmctld", "-D", "-c", "-f", os.path.join(root, "slurm.conf")], "slurmctld.out")
        for name in NODES:
            self.boot(name)
        idle = {n + " idle" for n in NODES} | {""}
        self.wait_for(lambda: set(self.out("sinfo", "-h", "-N", "-o", "%N %T").split("\n")) == idle, 30,
                      "four idle nodes")

    def write(self, name, text):
        with open(os.path.join(self.root, name), "w") as file:
            file.write(text)

    def config(self):
        settings = {
            "ClusterName": "lab", "SlurmctldHost": "ctl(%s%d)" % (NET, CONTROL),
            "SlurmUser": "root", "SlurmdUser": "root", "AuthType": "auth/munge", "CredType": "cred/munge",
            "AuthInfo": "socket=%s/munge.sock" % self.root, "MpiDefault": "pmix",
            "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/none", "AccountingStorageType": "accounting_storage/none",
            "SelectType": "select/cons_tres", "SelectTypeParameters": "CR_Core_Memory", "GresTypes": "gpu",
            "SchedulerType": "sched/backfill", "SlurmdParameters": "config_overrides",
            "SchedulerParameters": "sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1,"
                                   "bf_hetjob_immediate",
            "SlurmctldPidFile": "%s/slurmctld.pid" % self.root, "SlurmdPidFile": "%s/slurmd.%%n.pid" % self.root,
            "StateSaveLocation": "%s/state" % self.root, "SlurmdSpoolDir": "%s/spool/%%n" % self.root,
            "TmpFS": "%s/tmp/%%n" % self.root, "MailProg": "/bin/true", "ReturnToService": 2, "SlurmdTimeout": 10,
            "KillWait": 5, "MinJobAge": 3600, "MaxArraySize": 8,
            "PreemptType": "preempt/partition_prio", "PreemptMode": "REQUEUE",
        }
        text = "".join("%s=%s\n" % item for item in settings.items())
        for i, (name, (cores, memory, features, weight, gres)) in enumerate(NODES.items()):
            text += "NodeName=%s NodeAddr=%s%d CPUs=%d RealMemory=%d Feature=%s Weight=%d%s State=UNKNOWN\n" % (
                name, NET, i + 1, cores, memory, features, weight, " Gres=" + gres if gres else "")
        text += "PartitionName=short Nodes=n1,n2 Default=YES MaxTime=10:00 DefMemPerCPU=100 State=UP\n"
        text += "PartitionName=main Nodes=ALL MaxTime=1-00:00:00 DefMemPerCPU=100 State=UP\n"
        return text + "PartitionName=urgent Nodes=n3 PriorityTier=9 MaxTime=1-00:00:00 DefMemPerCPU=100 State=UP\n"

    def sh(self, command):
        subprocess.run(["sh", "-ec", command], check=True)

    def out(self, *command):
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def daemon(self, command, log):
        with open(os.path.join(self.root, log), "w") as file:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                    start_new_session=True)

    def start_munge(self):
        key, r = os.path.join(self.root, "munge.key"), self.root
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o400), "wb") as file:
            file.write(os.urandom(128))
        self.daemon(["munged", "--foreground", "--force", "--key-file=" + key, "--socket=%s/munge.sock" % r,
                     "--pid-file=%s/munged.pid" % r, "--seed-file=%s/munge.seed" % r,
                     "--log-file=%s/munged.log" % r], "munged.out")
        self.wait_for(lambda: os.path.exists(r + "/munge.sock"), 10, "munged")

    def boot(self, name):
        number = list(NODES).index(name) + 1
        script = NODE.format(name=name, root=self.root, address="%s%d" % (NET, number))
        for folder in "spool", "tmp":  # Slurm's PMIx keeps its sockets in TmpFS: of each node its own
            os.makedirs(os.path.join(self.root, folder, name), exist_ok=True)
        holder = self.daemon(["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child",
                              "--mount-proc", "bash", "-c", script], "node.%s.out" % name)
        children = "/proc/%d/task/%d/children" % (holder.pid, holder.pid)
        self.wait_for(lambda: open(children).read().strip(), 10, "node " + name)
        first = open(children).read().split()[0]
        self.wait_for(lambda: os.readlink("/proc/%s/ns/net" % first) != os.readlink("/proc/self/ns/net"), 10, name)
        self.sh("ip link add v%d type veth peer name eth0 netns %s && ip link set v%d master br0 up"
                % (number, first, number))
        self.nodes[name] = (holder, int(first))

    def crash(self, name):
        """All processes of the node die at once; so does its link."""
        holder, first = self.nodes.pop(name)
        os.kill(first, signal.SIGKILL)
        holder.wait()

    def open_to_all(self):
        """A folder that other users reach, too."""
        path = os.path.join(self.root, "all")
        os.makedirs(path, exist_ok=True)
        os.chmod(self.root, 0o755)
        return path

    def programs(self, *paths):
        """Copies of programs where other users may run them."""
        copies = [os.path.join(self.open_to_all(), os.path.basename(path)) for path in paths]
        for path, copy in zip(paths, copies):
            if not os.path.exists(copy):
                shutil.copy(path, copy)
        return copies

    def wait_for(self, what, seconds, name):
        end = time.monotonic() + seconds
        while True:
            value = what()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError("%s: not within %g s" % (name, seconds))
            time.sleep(0.05)

    # ---- jobs ----
    def state(self, job):
        return self.out("squeue", "-h", "-j", str(job), "--states=all", "-o", "%T").strip()

    def wait_state(self, job, *states, seconds=40):
        return self.wait_for(lambda: self.state(job) in states and self.state(job), seconds,
                             "job %s %s (it is %s)" % (job, "/".join(states), self.state(job)))

    def start_again(self, job):
        """A requeued job waits for two minutes: not here."""
        self.wait_state(job, "PENDING")
        time.sleep(2)
        self.sh("scontrol update jobid=%s starttime=now" % job)
