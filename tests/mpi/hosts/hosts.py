#!/usr/bin/python3
"""Several hosts on one machine, for tests: network namespaces joined by a bridge.

    import hosts
    hosts.enter()                      # first line of main(): root, namespaces; skips (77) where they are refused
    with hosts.Lab(3) as lab:
        job = lab.popen(1, [...])      # on node1; mpirun there reaches node2 and node3 (lab.environment)
        lab.link(2, False)             # pull the cable;  lab.rate(3, "100mbit");  lab.kill(2): power off;  lab.boot(2)
        lab.processes(2)               # [(pid, name, environment)] on node2, visible from here;  lab.shm(2), lab.tmp(2)

Also by hand: `hosts.py 3 COMMAND...` runs COMMAND on node1 of three, with mpirun's environment set.

A host has network, name, processes, /proc, /dev/shm and /var/tmp of its own; all other files are shared, like the home
folders of a cluster. Nothing is named outside: everything lies in one process namespace, network and mount namespace
that end with this script, however it ends. The link's address of nodeK is 10.77.0.K; its port 22 runs commands for
mpirun (`hosts.py --agent`), as sshd would. Up in half a second for three hosts.
"""
import glob, json, os, select, signal, socket, struct, subprocess, sys, time

SELF = os.path.abspath(__file__)
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def address(number):
    return f"10.77.0.{number}"


# --- a host: its first process, and the port that mpirun's agent talks to ---

def mount(kind, where, options):
    subprocess.run(["mount", "-t", kind, "-o", options, kind, where], check=True)


def frame(kind, data):
    return kind + struct.pack("<I", len(data)) + data


def serve_one(conn):
    """One command: its output in frames, then its status."""
    text = b""
    while not text.endswith(b"\n"):
        part = conn.recv(65536)
        if not part:
            os._exit(1)
        text += part
    ask = json.loads(text)
    child = subprocess.Popen(["/bin/sh", "-c", ask["command"]], cwd=ask["cwd"], env=ask["env"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    out = child.stdout.fileno()
    while True:
        ready, _, _ = select.select([out], [], [], 0.05)
        data = os.read(out, 65536) if ready else None
        if data:
            conn.sendall(frame(b"O", data))
        if data == b"" or (not ready and child.poll() is not None):
            break
    conn.sendall(frame(b"X", struct.pack("<i", child.wait())))


def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def be_host(number, ready_fd):
    socket.sethostname(f"node{number}")
    mount("proc", "/proc", "nosuid")
    mount("tmpfs", "/dev/shm", "size=1g,mode=1777")
    mount("tmpfs", "/var/tmp", "size=64m,mode=1777")
    signal.signal(signal.SIGCHLD, reap)
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("0.0.0.0", 22))
    door.listen(64)
    os.write(ready_fd, b"r")
    os.close(ready_fd)
    while True:
        conn, _ = door.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            door.close()
            try:
                serve_one(conn)
            except OSError:  # nobody listens any more; as with sshd, what was started goes on
                pass
            os._exit(0)
        conn.close()


def be_agent(host, words):
    """What ssh would be: the words, joined, run by a shell on that host; its output is ours."""
    conn = socket.create_connection((address(int(host.removeprefix("node"))), 22), timeout=5)
    conn.settimeout(None)
    conn.sendall(json.dumps({"command": " ".join(words), "cwd": os.getcwd(), "env": dict(os.environ)}).encode() + b"\n")
    data = b""
    while True:
        part = conn.recv(65536)
        if not part:
            return 255
        data += part
        while len(data) >= 5 and len(data) >= 5 + struct.unpack("<I", data[1:5])[0]:
            length = struct.unpack("<I", data[1:5])[0]
            kind, body, data = data[:1], data[5:5 + length], data[5 + length:]
            if kind == b"X":
                return struct.unpack("<i", body)[0] & 255
            sys.stdout.buffer.write(body)
            sys.stdout.flush()


# --- the lab ---

def refused():
    """Why namespaces cannot be had here ("capability: reason"), or None."""
    if os.geteuid() != 0:
        return "root: several hosts need root"
    for tool in ("unshare", "nsenter", "ip", "tc", "mount"):
        if not any(os.access(f"{p}/{tool}", os.X_OK) for p in os.get_exec_path() + ["/sbin", "/usr/sbin"]):
            return f"netns: {tool} is not there"
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "sh", "-c",
                            "ip link add br0 type bridge && ip link add v1 type veth peer name e1"],
                           capture_output=True, text=True)
    return None if probe.returncode == 0 else f"netns: this kernel refuses namespaces: {probe.stderr.strip()[:200]}"


def enter():
    """Go on inside namespaces of our own; whoever kills us, all of it ends with us."""
    os.environ.setdefault("ECH_BIND", "none")  # the hosts share one machine's cores: each would choose the same
    if os.environ.get("ECH_LAB") == "1":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # mpirun wants it
        return
    why = refused()
    if why:
        print(f"SKIP {why}")
        sys.exit(77)
    os.execvpe("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable,
                           *sys.argv], dict(os.environ, ECH_LAB="1"))


class Lab:
    def __init__(self, count):
        self.count, self.pids, self.net = count, {}, {}

    def __enter__(self):
        commands = ["link add br0 type bridge", "link set br0 up"]
        for k in range(1, self.count + 1):
            commands += [f"link add v{k} type veth peer name e{k}", f"link set v{k} master br0", f"link set v{k} up"]
        self.ip(commands)
        names = "/run/echelon-hosts" if os.path.isdir("/run") else "/tmp/echelon-hosts"
        if os.path.exists("/etc/hosts"):  # ours alone: the mount namespace is private
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", os.path.dirname(names)], check=True)
            with open(names, "w") as text:
                text.write("127.0.0.1 localhost\n" + "".join(f"{address(k)} node{k}\n" for k in range(1, self.count + 1)))
            subprocess.run(["mount", "--bind", names, "/etc/hosts"], check=True)
        for k in range(1, self.count + 1):
            self.boot(k, wire=False)
        return self

    def __exit__(self, *_):
        for k in list(self.pids):
            self.kill(k)
        self.ip(["link del br0"])

    @staticmethod
    def ip(commands, pid=None):
        enter = ["nsenter", "-t", str(pid), "-n"] if pid else []
        subprocess.run(enter + ["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)

    def boot(self, k, wire=True):
        """Start a host (again, after kill)."""
        if wire:
            self.ip([f"link add v{k} type veth peer name e{k}", f"link set v{k} master br0", f"link set v{k} up"])
        ready, told = os.pipe()
        os.set_inheritable(told, True)
        child = subprocess.Popen(["unshare", "--net", "--uts", "--ipc", "--pid", "--mount", "--fork", "--kill-child",
                                  sys.executable, SELF, "--host", str(k), str(told)], pass_fds=[told])
        os.close(told)
        if os.read(ready, 1) != b"r":
            raise RuntimeError(f"node{k} does not start")
        os.close(ready)
        with open(f"/proc/{child.pid}/task/{child.pid}/children") as text:
            pid = int(text.read().split()[0])
        self.pids[k] = (child, pid)
        self.net[k] = os.readlink(f"/proc/{pid}/ns/net")
        self.ip([f"link set e{k} netns {pid} name eth0"])
        self.ip(["link set lo up", "link set eth0 up", f"address add {address(k)}/24 dev eth0"], pid)

    def kill(self, k):
        """Power off: silent on the network first, then all processes of the host at once."""
        child, pid = self.pids.pop(k)
        subprocess.run(["ip", "link", "del", f"v{k}"], **QUIET)
        child.kill()  # its first process dies with it, and all others of the host with that one
        child.wait()
        while os.path.exists(f"/proc/{pid}"):
            time.sleep(0.005)
            reap()

    def link(self, k, up):
        self.ip([f"link set v{k} {'up' if up else 'down'}"])

    def rate(self, k, rate):
        """Both directions of a host's link."""
        words = ["root", "tbf", "rate", rate, "burst", "128kb", "latency", "50ms"]
        subprocess.run(["tc", "qdisc", "replace", "dev", f"v{k}", *words], check=True)
        subprocess.run(["nsenter", "-t", str(self.pids[k][1]), "-n", "tc", "qdisc", "replace", "dev", "eth0", *words], check=True)

    def environment(self, slots=1, only=None):
        """mpirun's, on node1: which hosts, and how to reach them."""
        path = os.path.abspath(f"hostfile-{slots}")
        with open(path, "w") as text:
            text.write("".join(f"node{k} slots={slots}\n" for k in only or range(1, self.count + 1)))
        return {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_orte_default_hostfile": path,
                "OMPI_MCA_plm_rsh_agent": f"{sys.executable} {SELF} --agent", "TMPDIR": "/var/tmp"}

    def inside(self, k, argv):
        return ["nsenter", "-t", str(self.pids[k][1]), "-n", "-u", "-i", "-p", "-m", "-r", "--wd=" + os.getcwd(), "--", *argv]

    def popen(self, k, argv, env=None, **more):
        return subprocess.Popen(self.inside(k, argv), env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL, **more)

    def run(self, k, argv, env=None, **more):
        return subprocess.run(self.inside(k, argv), env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL, **more)

    def processes(self, k):
        """(pid, name, environment) of what runs on a host beside its first process and the port's helpers."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                if os.readlink(f"/proc/{name}/ns/net") != self.net[k] or int(name) == self.pids[k][1]:
                    continue
                comm, env = open(f"/proc/{name}/comm").read().strip(), open(f"/proc/{name}/environ", "rb").read()
                line = open(f"/proc/{name}/cmdline", "rb").read()
            except OSError:
                continue
            if line and SELF.encode() not in line.split(b"\0")[:2] and comm not in ("nsenter", "unshare"):  # orted names us too
                found.append((int(name), comm, env))
        return found

    def shm(self, k):
        """What lies in a host's /dev/shm."""
        return os.listdir(f"/proc/{self.pids[k][1]}/root/dev/shm")

    def tmp(self, k):
        """What MPI's daemons keep in a host's TMPDIR (each names its process)."""
        return glob.glob(f"/proc/{self.pids[k][1]}/root/var/tmp/ompi.*/jf.*/pmix_dstor_*")


def main():
    if sys.argv[1:2] == ["--host"]:
        be_host(int(sys.argv[2]), int(sys.argv[3]))
    if sys.argv[1:2] == ["--agent"]:
        return be_agent(sys.argv[2], sys.argv[3:])
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        print("usage: hosts.py N COMMAND...", file=sys.stderr)
        return 64
    enter()
    with Lab(int(sys.argv[1])) as lab:
        return lab.run(1, sys.argv[2:], lab.environment()).returncode


if __name__ == "__main__":
    sys.exit(main())
