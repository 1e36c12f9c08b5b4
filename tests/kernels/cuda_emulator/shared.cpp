/* Shared memory of the block that runs: dynamic first, then each static array where it is first met in the
 * launch, with a gap behind each. Every block finds it unwritten. */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>

#include "internal.h"

namespace ech_emu
{

Shared shared;

enum : size_t { SHARED_GAP = 64 };

struct Static {
    const void *key;
    const char *name;
    size_t offset, bytes;
};
static std::vector<Static> statics; /* of this launch */
static size_t dynamic_bytes;

void shared_open()
{
    if (shared.bytes)
        return;
    void *p =
        mmap(nullptr, SHARED_MOST + STATE_SLACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared.state = static_cast<uint8_t *>(calloc(1, SHARED_MOST + STATE_SLACK));
    shared.cells = static_cast<Cell *>(calloc(SHARED_MOST + STATE_SLACK, sizeof(Cell)));
    if (p == MAP_FAILED || !shared.state || !shared.cells)
        abort();
    shared.bytes = static_cast<uint8_t *>(p);
}

static void refresh(size_t offset, size_t bytes)
{
    memset(shared.bytes + offset, 0xff, bytes);
    memset(shared.state + offset, UNWRITTEN, bytes);
}

void shared_begin_launch(size_t bytes)
{
    shared_open();
    memset(shared.state, OUTSIDE, shared.used);
    statics.clear();
    dynamic_bytes = bytes;
    shared.used = bytes + SHARED_GAP;
}

void shared_begin_block()
{
    refresh(0, dynamic_bytes);
    for (const Static &s : statics)
        refresh(s.offset, s.bytes);
}

static size_t taken()
{
    size_t sum = dynamic_bytes;
    for (const Static &s : statics)
        sum += s.bytes;
    return sum;
}

void *shared_static(const void *key, const char *name, size_t bytes, size_t alignment)
{
    for (const Static &s : statics)
        if (s.key == key)
            return shared.bytes + s.offset;
    size_t least = alignment < 16 ? 16 : alignment;
    size_t offset = (shared.used + least - 1) / least * least;
    size_t limit = dynamic_limit(run.launch->function) > SHARED_PLAIN ? SHARED_OPTIN : SHARED_PLAIN;
    if (taken() + bytes > limit || offset + bytes + SHARED_GAP > SHARED_MOST) {
        Fault f;
        f.kind = ECH_EMU_OUTSIDE;
        f.what = format("shared array %s of %zu bytes on top of %zu is more than a block's %zu", name, bytes,
                        taken(), limit);
        f.hint =
            "cudaFuncSetAttribute raises the limit for dynamic shared memory only; static stays below 48 KiB";
        report(std::move(f));
    }
    statics.push_back({key, name, offset, bytes});
    shared.used = offset + bytes + SHARED_GAP;
    refresh(offset, bytes);
    return shared.bytes + offset;
}

void *shared_dynamic()
{
    return shared.bytes;
}

bool shared_name(size_t offset, std::string *text)
{
    for (const Static &s : statics)
        if (offset + SHARED_GAP / 2 >= s.offset && offset < s.offset + s.bytes + SHARED_GAP / 2) {
            *text = format("byte %lld of shared array %s (%zu bytes)",
                           (long long)offset - (long long)s.offset, s.name, s.bytes);
            return true;
        }
    *text = format("byte %zu of dynamic shared memory (%zu bytes)", offset, dynamic_bytes);
    return offset < dynamic_bytes;
}

} // namespace ech_emu
