/* replay FOLDER: every file of a corpus through the parser once, in ordinary builds without libFuzzer. An
 * empty folder is an error, not a pass. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static int replay(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        return 1;
    }
    size_t size = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(size ? size : 1); /* of the exact size: a sanitizer sees one byte too many */
    int failed = !data || fread(data, 1, size, f) != size;
    fclose(f);
    if (!failed)
        LLVMFuzzerTestOneInput(data, size);
    free(data);
    return failed;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "replay FOLDER: the folder of a corpus\n");
        return 64;
    }
    int files = 0, failed = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.') {
            failed += replay(argv[1], entry->d_name);
            files++;
        }
    closedir(dir);
    printf("%d inputs replayed\n", files);
    return files == 0 || failed ? 1 : 0;
}
