/* `doctor --node-check`: what a launcher on another host wants to know of this one, as one line of JSON; and
 * whether the folder of the runs is the same here as there (launcher/node_facts.h reads it). */
#include "job/node_check.h"

#include "base/io.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/mem.h"
#include "comm/comm.h"
#include "job/usage.h"
#include "kernels/ops.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { TOKEN_BYTES = 256, SECONDS_MOST = 60 };

static int64_t count_names(const char *folder, const char *lead, bool digits)
{
    DIR *dir = opendir(folder);
    int64_t count = 0;
    size_t length = strlen(lead);
    for (struct dirent *e; dir && (e = readdir(dir));)
        count += e->d_name[0] != '.' && strncmp(e->d_name, lead, length) == 0 &&
                 (!digits || isdigit((unsigned char)e->d_name[length]));
    if (dir)
        closedir(dir);
    return count;
}

static int64_t limit(int which)
{
    struct rlimit r = {0, 0};
    getrlimit((__rlimit_resource_t)which, &r);
    return r.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)r.rlim_cur;
}

static int64_t total_memory(void)
{
    return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

static void add_numerics(struct ech_str *out)
{
    const struct ech_ops *ops = ech_ops_find("auto", NULL);
    char names[256] = "";
    size_t used = 0;
    for (int i = 0; ops && i < ECH_FORMATS && used < sizeof names; i++)
        if (ops->numerics[i])
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? " " : "",
                                     ops->numerics[i]);
    ech_json_add_str(out, "kernels", ops ? ops->name : "none");
    ech_json_add_str(out, "numerics", names);
}

/* Reads the launcher's token and writes it into a file of this node's own. */
static int share(const struct ech_node_check *check, struct ech_err *err)
{
    char *token = NULL;
    size_t bytes = 0;
    char *theirs = ech_path_join(check->folder, "token", err);
    char *ours = ech_path_join(check->folder, check->seen, err);
    int code = theirs && ours ? ech_read_file(theirs, TOKEN_BYTES, &token, &bytes, err) : ECH_UNAVAILABLE;
    if (code == ECH_OK && strcmp(token, check->token) != 0)
        code = ech_fail(err, ECH_IO, "%s is another file here", theirs);
    if (code == ECH_OK)
        code = ech_write_file(ours, token, bytes, err);
    ech_free(token);
    ech_free(theirs);
    ech_free(ours);
    return code;
}

int ech_node_check_print(const struct ech_node_check *check, const char *version, struct ech_str *out,
                         struct ech_err *err)
{
    char mpi[256], host[64] = "";
    struct ech_err why = ECH_ERR_NONE;
    struct statvfs shm = {0};
    struct timespec now;
    if (strchr(check->seen, '/') || check->seen[0] == '.')
        return ech_fail(err, ECH_USAGE, "--seen %s: the plain name of a file was expected", check->seen);
    alarm(SECONDS_MOST); /* a file system that hangs does not keep this process on the node */
    gethostname(host, sizeof host - 1);
    share(check, &why);
    statvfs("/dev/shm", &shm);
    ech_json_add_int(out, "echelon_node", 1);
    ech_json_add_str(out, "host", host);
    ech_json_add_str(out, "version", version);
    ech_json_add_str(out, "mpi", ech_comm_library(mpi, sizeof mpi));
    add_numerics(out);
    ech_json_add_str(out, "shared", why.text);
    ech_json_add_int(out, "cores", ech_usage_cores());
    ech_json_add_int(out, "memory", total_memory());
    ech_json_add_int(out, "devices", count_names("/dev", "nvidia", true));
    ech_json_add_int(out, "nofile", limit(RLIMIT_NOFILE));
    ech_json_add_int(out, "memlock", limit(RLIMIT_MEMLOCK));
    ech_json_add_bool(out, "fabric", count_names("/sys/class/infiniband", "", false) > 0);
    ech_json_add_int(out, "shm", (int64_t)(shm.f_blocks * shm.f_frsize));
    ech_json_add_int(out, "shm_free", (int64_t)(shm.f_bavail * shm.f_frsize));
    clock_gettime(CLOCK_REALTIME, &now);
    ech_json_add_int(out, "time_us", (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    ech_str_adds(out, "}\n");
    return ech_str_check(out, err);
}

int ech_node_machine_print(struct ech_str *out, struct ech_err *err)
{
    const struct ech_machine *machine = ech_machine_here();
    char identity[160];
    ech_machine_identity(identity, sizeof identity);
    ech_json_add_int(out, "echelon_machine", 1);
    ech_json_add_str(out, "identity", identity);
    ech_json_add_int(out, "cores", machine->cores);
    ech_json_add_int(out, "domains", machine->domains);
    ech_json_add_int(out, "devices", machine->devices);
    ech_str_adds(out, "}\n");
    return ech_str_check(out, err);
}
