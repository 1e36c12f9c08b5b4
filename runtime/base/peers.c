/* See peers.h. */
#include "base/peers.h"

#include "base/io.h"
#include "base/mem.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SOCKETS_MOST = 4096, TABLE_BYTES = 64 << 20, ESTABLISHED = 1, RETRANSMITS = 1, TRIES_MOST = 6 };

static bool has(const int64_t *sockets, int count, int64_t inode)
{
    for (int i = 0; i < count; i++)
        if (sockets[i] == inode)
            return true;
    return false;
}

/* Addresses are hexadecimal in the order of memory: 127.0.0.1 is 0100007F. */
static bool is_here(const char *local, const char *remote)
{
    size_t length = strlen(remote);
    return strcmp(local, remote) == 0 ||
           (length >= 8 && strcmp(remote + length - 2, "7F") == 0 && length == 8);
}

/* One line; false: it tells of no connection to another host that works. */
static bool read_line(const char *line, int64_t *inode)
{
    char local[40], remote[40];
    unsigned state, timer, tries;
    return sscanf(line, " %*d: %39[0-9A-F]:%*x %39[0-9A-F]:%*x %x %*s %x:%*x %x %*d %*d %" SCNd64, local,
                  remote, &state, &timer, &tries, inode) == 6 &&
           state == ESTABLISHED && !is_here(local, remote) && !(timer == RETRANSMITS && tries >= TRIES_MOST);
}

int ech_peers_count(const char *table, const int64_t *sockets, int count)
{
    int peers = 0;
    int64_t inode;
    for (const char *line = table; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0)
        peers += read_line(line, &inode) && has(sockets, count, inode);
    return peers;
}

/* Inodes of the process's sockets; -1: it cannot be looked into. */
static int list_sockets(pid_t pid, int64_t *out)
{
    char path[64], name[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    for (struct dirent *entry; count < SOCKETS_MOST && (entry = readdir(dir));) {
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, name, sizeof name - 1);
        name[length > 0 ? length : 0] = '\0';
        count += sscanf(name, "socket:[%" SCNd64, &out[count]) == 1;
    }
    closedir(dir);
    return count;
}

int ech_peers_of(pid_t pid)
{
    static const char *const tables[] = {"tcp", "tcp6"};
    int64_t *sockets = ech_calloc(SOCKETS_MOST, sizeof *sockets, NULL);
    int count = sockets ? list_sockets(pid, sockets) : -1, peers = 0;
    for (int i = 0; count > 0 && i < 2; i++) {
        char path[64], *text;
        snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, tables[i]);
        if (ech_read_file(path, TABLE_BYTES, &text, NULL, NULL) != ECH_OK)
            continue;
        peers += ech_peers_count(text, sockets, count);
        ech_free(text);
    }
    ech_free(sockets);
    return count < 0 ? -1 : peers;
}
