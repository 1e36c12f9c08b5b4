#!/usr/bin/python3
"""host_ranks.py: three hosts (tests/mpi/hosts) that are asked what they have before a run: one has two NUMA domains (to
hwloc), one has two names. Who gets how many ranks, what a resume changes, and whose launch command is taken.
"""
import json, os, pathlib, shutil, sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "hosts")]
import hosts

ECHELON = f"{os.environ['ECH_BIN']}/echelon"
AGENT = """#!/bin/sh
host=$1
shift
[ "$host" = twin ] && host=node2
case "$host $*" in "node3 "*--machine*) export HWLOC_SYNTHETIC="numa:2 core:4 pu:1" ;; esac
exec %s %s --agent "$host" "$@"
"""


def call(lab, *words, expect=0):
    done = lab.run(1, [ECHELON, *words], {"OMPI_MCA_plm_rsh_agent": f"{os.getcwd()}/agent", "TMPDIR": "/var/tmp"},
                   capture_output=True, text=True, timeout=100)

    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def ranks(lab, run):
    view = json.loads(call(lab, "status", run, "--json")[0])
    assert view["state"] == "sealed", view
    return sorted(rank["host"] for rank in view["ranks"])


def main():
    hosts.enter()
    pathlib.Path("agent").write_text(AGENT % (sys.executable, hosts.SELF))
    os.chmod("agent", 0o755)
    pathlib.Path("rows.jsonl").write_text("".join('{"text": "row %d"}\n' % i for i in range(50)))
    pathlib.Path("job.yaml").write_text(
        f"kind: embed\nmodel: {os.environ['ECH_TEST_MODELS']}/all-MiniLM-L6-v2\ninput: {{dataset: data/rows}}\n"
        "output: {dataset: out/v}\n")
    pathlib.Path("list").write_text("node[1-2]\ntwin\nnode3\n")
    pathlib.Path("c.yaml").write_text("exclude: [node2]\nclasses:\n  a: {hosts: 'node[1-2]'}\n"
                                      "  b: {hosts: node3, domains: 1, threads: 1}\n")
    with hosts.Lab(3) as lab:
        call(lab, "data", "import", "rows.jsonl", "data/rows")
        out, err = call(lab, "run", "job.yaml", "--hosts", "list")
        run = out.strip()
        assert "node2 and twin are two names of one machine: it is used once, as node2" in err, err
        assert ranks(lab, run) == ["node1", "node2", "node3", "node3"], ranks(lab, run)
        assert pathlib.Path(run, "hosts").read_text() == "node1\nnode2\nnode3\n"

        shutil.rmtree("out")  # it is made again, by as many as are said now
        call(lab, "resume", run, "--set", "resources.ranks_per_node=1")
        assert ranks(lab, run) == ["node1", "node2", "node3"], ranks(lab, run)

        out, err = call(lab, "run", "job.yaml", "--cluster", "c.yaml", "--set", "output.dataset=out/w")
        assert ranks(lab, out.strip()) == ["node1", "node3", "node3"], (ranks(lab, out.strip()), err)
    return 0


if __name__ == "__main__":
    sys.exit(main())
