/* Which addresses are static data of the loaded programs: constant tables and __device__ variables, which
 * the host compiler cannot tell from host variables. Read once a launch that asks. */
#include <algorithm>

#include <link.h>

#include "internal.h"

namespace ech_emu
{

struct Range {
    uintptr_t first, last;
};
static std::vector<Range> ranges;

static int collect(dl_phdr_info *info, size_t, void *)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            uintptr_t first = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            ranges.push_back({first, first + info->dlpi_phdr[i].p_memsz});
        }
    return 0;
}

static bool search(uintptr_t a)
{
    return std::any_of(ranges.begin(), ranges.end(),
                       [a](const Range &r) { return a >= r.first && a < r.last; });
}

bool in_module(uintptr_t a)
{
    if (search(a))
        return true;
    ranges.clear();
    dl_iterate_phdr(collect, nullptr);
    return search(a);
}

} // namespace ech_emu
