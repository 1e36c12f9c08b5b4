/* Shards through HDF5: see shard.h. Everything here is main thread only, since HDF5 is not thread-safe.
 * Aggregation of small blocks is off: addresses are then handed out in order of creation by every file
 * driver, which is what makes a file made by one rank and one made through MPI-IO the same bytes. */
#include "data/shard.h"

#include "data/dataset.h"

#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ech_shard_name(int64_t index, char out[ECH_SHARD_NAME])
{
    snprintf(out, ECH_SHARD_NAME, "shard-%05lld.h5", (long long)index);
    return out;
}

/* The innermost entry of HDF5's error stack says what really happened. */
static herr_t innermost(unsigned n, const H5E_error2_t *entry, void *text)
{
    (void)n;
    snprintf(text, 512, "%s: %s", entry->func_name ? entry->func_name : "HDF5",
             entry->desc ? entry->desc : "no description");
    return 0;
}

static int fail_hdf5(struct ech_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int fail_hdf5(struct ech_err *err, int code, const char *fmt, ...)
{
    char what[768], inner[512] = "HDF5 gave no reason";
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, innermost, inner);
    H5Eclear2(H5E_DEFAULT);
    return ech_fail(err, code, "%s: %s", what, inner);
}

static void quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* f16 is made once more by every call: HDF5 has no name for it. The caller closes. */
static hid_t file_type(enum ech_dtype dtype)
{
    switch (dtype) {
    case ECH_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case ECH_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case ECH_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case ECH_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case ECH_F16:
        break;
    }
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    if (type >= 0 && (H5Tset_fields(type, 15, 10, 5, 0, 10) < 0 || H5Tset_size(type, 2) < 0 ||
                      H5Tset_ebias(type, 15) < 0)) {
        H5Tclose(type);
        return H5I_INVALID_HID;
    }
    return type;
}

/* One dataset as it should be. */
struct wanted {
    char path[2 * ECH_NAME_MAX];
    enum ech_dtype dtype;
    bool is_u64; /* offsets and checks, in place of dtype */
    int rank;
    hsize_t dims[2];
    bool any_length; /* inspecting: dims[0] is what is found */
};

static const char *main_name(const struct ech_column *column)
{
    return column->dtype == ECH_U8 ? "bytes" : "values";
}

static struct wanted want_main(const struct ech_column *column, int64_t rows, int64_t bytes)
{
    struct wanted w = {.dtype = column->dtype};
    snprintf(w.path, sizeof w.path, "/columns/%s/%s", column->name, main_name(column));
    bool fixed = column->dim > 0;
    w.rank = fixed ? 2 : 1;
    w.dims[0] = fixed ? (hsize_t)rows : (hsize_t)bytes / ech_dtype_bytes(column->dtype);
    w.dims[1] = (hsize_t)column->dim;
    return w;
}

static struct wanted want_offsets(const struct ech_column *column, int64_t rows)
{
    struct wanted w = {.is_u64 = true, .rank = 1, .dims = {(hsize_t)rows + 1, 0}};
    snprintf(w.path, sizeof w.path, "/columns/%s/offsets", column->name);
    return w;
}

static struct wanted want_checks(const struct ech_column *column, int64_t blocks)
{
    struct wanted w = {.is_u64 = true, .rank = 2, .dims = {(hsize_t)blocks, 2}};
    snprintf(w.path, sizeof w.path, "/checks/%s", column->name);
    return w;
}

static hid_t wanted_type(const struct wanted *w)
{
    return w->is_u64 ? H5Tcopy(H5T_STD_U64LE) : file_type(w->dtype);
}

/* Address of a contiguous dataset's bytes; 0 where it has none. */
static int address(hid_t set, const char *path, const char *file, int64_t bytes, int64_t *at,
                   struct ech_err *err)
{
    haddr_t found = bytes > 0 ? H5Dget_offset(set) : 0;
    if (found == HADDR_UNDEF)
        return fail_hdf5(err, ECH_DATA, "%s: %s has no address in the file", file, path);
    *at = (int64_t)found;
    return ECH_OK;
}

static int64_t wanted_bytes(const struct wanted *w)
{
    int64_t count = (int64_t)w->dims[0] * (w->rank == 2 ? (int64_t)w->dims[1] : 1);
    return count * (w->is_u64 ? 8 : (int64_t)ech_dtype_bytes(w->dtype));
}

static int create_dataset(hid_t file, const char *path, const struct wanted *w, hid_t plist, int64_t *at,
                          struct ech_err *err)
{
    hid_t type = wanted_type(w), space = H5Screate_simple(w->rank, w->dims, NULL);
    hid_t set = H5Dcreate2(file, w->path, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    int code = set < 0 ? fail_hdf5(err, ECH_IO, "%s: cannot create %s", path, w->path)
                       : address(set, w->path, path, wanted_bytes(w), at, err);
    if (set >= 0)
        H5Dclose(set);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return code;
}

static int create_group(hid_t file, const char *path, const char *name, hid_t plist, struct ech_err *err)
{
    hid_t group = H5Gcreate2(file, name, H5P_DEFAULT, plist, H5P_DEFAULT);
    if (group < 0)
        return fail_hdf5(err, ECH_IO, "%s: cannot create group %s", path, name);
    H5Gclose(group);
    return ECH_OK;
}

static int create_column(hid_t file, const char *path, const struct ech_shard_spec *spec, int index,
                         hid_t groups, hid_t sets, struct ech_place *place, struct ech_err *err)
{
    const struct ech_column *column = &spec->columns[index];
    char name[2 * ECH_NAME_MAX];
    snprintf(name, sizeof name, "/columns/%s", column->name);
    struct ech_place p = {.main_bytes = spec->main_bytes[index]};
    struct wanted w = want_main(column, spec->rows, p.main_bytes);
    int code = create_group(file, path, name, groups, err);
    if (code == ECH_OK)
        code = create_dataset(file, path, &w, sets, &p.main, err);
    if (code == ECH_OK && column->dim == 0) {
        w = want_offsets(column, spec->rows);
        p.offsets_bytes = wanted_bytes(&w);
        code = create_dataset(file, path, &w, sets, &p.offsets, err);
    }
    if (code != ECH_OK)
        return code;
    p.blocks = ech_blocks(p.main_bytes) + ech_blocks(p.offsets_bytes);
    w = want_checks(column, p.blocks);
    code = create_dataset(file, path, &w, sets, &p.checks, err);
    if (code == ECH_OK)
        *place = p;
    return code;
}

static int create_content(hid_t file, const char *path, const struct ech_shard_spec *spec,
                          struct ech_place *places, struct ech_err *err)
{
    hid_t groups = H5Pcreate(H5P_GROUP_CREATE), sets = H5Pcreate(H5P_DATASET_CREATE);
    int code = ECH_OK;
    if (H5Pset_obj_track_times(groups, false) < 0 || H5Pset_obj_track_times(sets, false) < 0 ||
        H5Pset_layout(sets, H5D_CONTIGUOUS) < 0 || H5Pset_alloc_time(sets, H5D_ALLOC_TIME_EARLY) < 0 ||
        H5Pset_fill_time(sets, H5D_FILL_TIME_NEVER) < 0)
        code = fail_hdf5(err, ECH_UNAVAILABLE, "%s: HDF5 refuses the layout", path);
    if (code == ECH_OK)
        code = create_group(file, path, "/columns", groups, err);
    if (code == ECH_OK)
        code = create_group(file, path, "/checks", groups, err);
    for (int c = 0; c < spec->count && code == ECH_OK; c++)
        code = create_column(file, path, spec, c, groups, sets, &places[c], err);
    H5Pclose(groups);
    H5Pclose(sets);
    return code;
}

/* The file access: MPI-IO where several ranks create together. No file locks: a dataset is written once,
 * under a name nobody else knows, and not every shared file system has them. */
static hid_t access_list(struct ech_comm *group)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    void *handle = group && ech_comm_size(group) > 1 ? ech_comm_handle(group) : NULL;
    if (access >= 0 &&
        (H5Pset_file_locking(access, false, true) < 0 || H5Pset_meta_block_size(access, 0) < 0 ||
         H5Pset_small_data_block_size(access, 0) < 0 ||
         (handle && H5Pset_fapl_mpio(access, *(MPI_Comm *)handle, MPI_INFO_NULL) < 0))) {
        H5Pclose(access);
        return H5I_INVALID_HID;
    }
    return access;
}

/* Try the file with plain calls first: what commonly fails (permission, a full disk, a name that is taken)
 * then fails before the collective call, inside which one failing rank would strand the others. */
static int reserve_name(const char *path, struct ech_err *err)
{
    int fd, code = ech_open(path, O_WRONLY | O_CREAT | O_EXCL, &fd, err);
    if (code != ECH_OK)
        return code;
    code = ech_write_all(fd, path, "", 1, err);
    int closed = ech_close(fd, path, err);
    return code != ECH_OK ? code : closed;
}

static int create_local(const char *path, const struct ech_shard_spec *spec, struct ech_comm *group,
                        struct ech_place *places, struct ech_err *err)
{
    quiet();
    hid_t access = access_list(group);
    hid_t file = access < 0 ? H5I_INVALID_HID : H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    int code = ECH_OK;
    if (file < 0)
        code = fail_hdf5(err, ECH_IO, "cannot create shard %s", path);
    if (code == ECH_OK)
        code = create_content(file, path, spec, places, err);
    if (file >= 0 && H5Fclose(file) < 0 && code == ECH_OK)
        code = fail_hdf5(err, ECH_IO, "closing shard %s", path);
    if (access >= 0)
        H5Pclose(access);
    if (code == ECH_OK && ech_fault(ECH_FAULT_WRITE))
        code = ech_fail(err, ECH_IO, "writing the headers of shard %s: injected failure", path);
    return code;
}

int ech_shard_create(const char *path, const struct ech_shard_spec *spec, struct ech_comm *group,
                     struct ech_place *places, int64_t *file_bytes, struct ech_err *err)
{
    struct ech_err local = ECH_ERR_NONE;
    bool first = !group || ech_comm_rank(group) == 0;
    int code = first ? reserve_name(path, &local) : ECH_OK;
    if (group)
        code = ech_agree(group, &local);
    if (code == ECH_OK) {
        code = create_local(path, spec, group, places, &local);
        if (group)
            code = ech_agree(group, &local);
    }
    int64_t size = code == ECH_OK ? ech_file_size(path, &local) : -1;
    if (code == ECH_OK && size < 0)
        code = local.code;
    if (code != ECH_OK) {
        if (err && err->code == ECH_OK)
            *err = local;
        return code;
    }
    *file_bytes = size;
    return ECH_OK;
}

static int check_type(hid_t set, const struct wanted *w, const char *file, struct ech_err *err)
{
    hid_t found = H5Dget_type(set), type = wanted_type(w);
    htri_t equal = found >= 0 && type >= 0 ? H5Tequal(found, type) : -1;
    if (found >= 0)
        H5Tclose(found);
    if (type >= 0)
        H5Tclose(type);
    if (equal < 0)
        return fail_hdf5(err, ECH_DATA, "%s: cannot read the type of %s", file, w->path);
    if (!equal)
        return ech_fail(err, ECH_DATA, "%s: %s does not hold little-endian %s, as the manifest says", file,
                        w->path, w->is_u64 ? "u64" : ech_dtype_name(w->dtype));
    return ECH_OK;
}

static int check_shape(hid_t set, struct wanted *w, const char *file, struct ech_err *err)
{
    hsize_t dims[2] = {0, 0};
    hid_t space = H5Dget_space(set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank == w->rank)
        H5Sget_simple_extent_dims(space, dims, NULL);
    if (space >= 0)
        H5Sclose(space);
    if (rank != w->rank)
        return ech_fail(err, ECH_DATA, "%s: %s has %d dimensions, %d expected", file, w->path, rank, w->rank);
    if (w->any_length && dims[0] <= (hsize_t)INT64_MAX / 8)
        w->dims[0] = dims[0];
    for (int i = 0; i < rank; i++)
        if (dims[i] != w->dims[i])
            return ech_fail(err, ECH_DATA, "%s: %s has %llu along dimension %d, the manifest says %llu", file,
                            w->path, (unsigned long long)dims[i], i, (unsigned long long)w->dims[i]);
    return ECH_OK;
}

static int check_storage(hid_t set, const struct wanted *w, const char *file, int64_t file_bytes, int64_t *at,
                         struct ech_err *err)
{
    hid_t plist = H5Dget_create_plist(set);
    H5D_layout_t layout = plist < 0 ? H5D_LAYOUT_ERROR : H5Pget_layout(plist);
    int external = plist < 0 ? -1 : H5Pget_external_count(plist);
    if (plist >= 0)
        H5Pclose(plist);
    if (layout != H5D_CONTIGUOUS || external != 0)
        return ech_fail(err, ECH_DATA, "%s: %s is not stored contiguously inside the file", file, w->path);
    int64_t bytes = wanted_bytes(w);
    int code = address(set, w->path, file, bytes, at, err);
    if (code == ECH_OK && (*at < 0 || *at > file_bytes || bytes > file_bytes - *at))
        code = ech_fail(err, ECH_DATA,
                        "%s: %s lies at bytes %lld to %lld of a file of %lld: the file is damaged", file,
                        w->path, (long long)*at, (long long)(*at + bytes), (long long)file_bytes);
    return code;
}

static int inspect_dataset(hid_t file_id, const char *file, struct wanted *w, int64_t file_bytes, int64_t *at,
                           struct ech_err *err)
{
    hid_t set = H5Dopen2(file_id, w->path, H5P_DEFAULT);
    if (set < 0)
        return fail_hdf5(err, ECH_DATA, "%s has no dataset %s", file, w->path);
    int code = check_type(set, w, file, err);
    if (code == ECH_OK)
        code = check_shape(set, w, file, err);
    if (code == ECH_OK)
        code = check_storage(set, w, file, file_bytes, at, err);
    H5Dclose(set);
    return code;
}

static int inspect_column(hid_t id, const char *file, const struct ech_shard_spec *spec, int index,
                          int64_t file_bytes, struct ech_place *place, struct ech_err *err)
{
    const struct ech_column *column = &spec->columns[index];
    struct ech_place p = {0};
    struct wanted w = want_main(column, spec->rows, 0);
    w.any_length = column->dim == 0;
    int code = inspect_dataset(id, file, &w, file_bytes, &p.main, err);
    p.main_bytes = wanted_bytes(&w);
    if (code == ECH_OK && column->dim == 0) {
        w = want_offsets(column, spec->rows);
        p.offsets_bytes = wanted_bytes(&w);
        code = inspect_dataset(id, file, &w, file_bytes, &p.offsets, err);
    }
    if (code != ECH_OK)
        return code;
    p.blocks = ech_blocks(p.main_bytes) + ech_blocks(p.offsets_bytes);
    w = want_checks(column, p.blocks);
    code = inspect_dataset(id, file, &w, file_bytes, &p.checks, err);
    if (code == ECH_OK)
        *place = p;
    return code;
}

int ech_shard_inspect(const char *path, const struct ech_shard_spec *spec, int64_t file_bytes,
                      struct ech_place *places, struct ech_err *err)
{
    int fd, code = ech_open(path, O_RDONLY, &fd, err); /* the plain error of a missing file */
    if (code != ECH_OK)
        return code;
    ech_close(fd, path, NULL);
    int64_t size = ech_file_size(path, err);
    if (size < 0)
        return ECH_NOINPUT;
    if (size != file_bytes)
        return ech_fail(err, ECH_DATA, "%s has %lld bytes, the manifest says %lld: %s", path, (long long)size,
                        (long long)file_bytes,
                        size < file_bytes ? "it is truncated" : "it is another file or has grown");
    quiet();
    hid_t access = access_list(NULL);
    hid_t file = access < 0 ? H5I_INVALID_HID : H5Fopen(path, H5F_ACC_RDONLY, access);
    if (access >= 0)
        H5Pclose(access);
    if (file < 0)
        return fail_hdf5(err, ECH_DATA, "cannot open shard %s", path);
    for (int c = 0; c < spec->count && code == ECH_OK; c++)
        code = inspect_column(file, path, spec, c, file_bytes, &places[c], err);
    H5Fclose(file);
    return code;
}

bool ech_data_library(char *out, size_t bytes)
{
    unsigned major = 0, minor = 0, patch = 0;
    H5get_libversion(&major, &minor, &patch);
#ifdef H5_HAVE_PARALLEL
    const bool parallel = true;
#else
    const bool parallel = false;
#endif
    snprintf(out, bytes, "HDF5 %u.%u.%u%s", major, minor, patch,
             parallel ? ", parallel" : ", without MPI-IO");
    return parallel;
}
