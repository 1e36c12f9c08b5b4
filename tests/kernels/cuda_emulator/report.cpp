/* Reports: where, who, what, which memory, and what to look at next. */
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <unistd.h>

#include "internal.h"

namespace ech_emu
{

static ech_emu_report_fn hook;
static void *hook_data;

std::string format(const char *text, ...)
{
    char line[1024];
    va_list args;
    va_start(args, text);
    vsnprintf(line, sizeof line, text, args);
    va_end(args);
    return line;
}

static std::string short_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool own_header(const char *line)
{
    return strstr(line, "cuda_emulator/device/") || strstr(line, "cuda_emulator/emulator.h") ||
           strstr(line, "/include/c++/") || strstr(line, "cuda_bf16.hpp") || strstr(line, "cuda_fp16.hpp");
}

/* binutils' addr2line, which comes with every gcc; the innermost frame that is not the emulator's own. */
static std::string look_up(const char *module, uintptr_t offset)
{
    std::string command = format("addr2line -i -e '%s' 0x%zx 2>/dev/null", module, (size_t)offset);
    FILE *pipe = popen(command.c_str(), "r");
    if (!pipe)
        return "";
    char line[1024];
    std::string found;
    while (fgets(line, sizeof line, pipe)) {
        line[strcspn(line, " \n")] = 0;
        if (found.empty() && line[0] != '?' && !own_header(line))
            found = short_name(line);
    }
    pclose(pipe);
    return found;
}

std::string source_of(const void *pc)
{
    if (!pc)
        return "unknown";
    Dl_info info;
    if (!dladdr(pc, &info) || !info.dli_fname)
        return format("%p", pc);
    uintptr_t offset = reinterpret_cast<uintptr_t>(pc) - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1;
    std::string found = look_up(info.dli_fname, offset);
    return found.empty() ? short_name(info.dli_fname) + format("+0x%zx", (size_t)offset) : found;
}

std::string source_of(const Site &site)
{
    return site.file ? short_name(site.file) + format(":%d", site.line) : "";
}

static const char *const NAMES[ECH_EMU_KINDS] = {
    "access outside of device memory",
    "read of memory never written",
    "misaligned access",
    "index out of bounds",
    "barrier that not all threads reach",
    "warp operation out of step",
    "race",
    "unchecked launch",
    "host code misuses the device",
};

static void add_line(std::string *text, const char *label, const std::string &value)
{
    if (!value.empty())
        *text += format("  %-8s ", label) + value + "\n";
}

static std::string describe_launch(const Launch &l)
{
    return format("%s, grid %ux%ux%u, block %ux%ux%u, %zu bytes of dynamic shared memory, launched at ",
                  l.kernel, l.grid.x, l.grid.y, l.grid.z, l.block.x, l.block.y, l.block.z, l.shared_bytes) +
           source_of(l.site);
}

static std::string compose(const Fault &f, const Fiber *fiber, const std::string &source)
{
    std::string text = std::string("cuda emulator: ") + NAMES[f.kind] + "\n";
    add_line(&text, "what", f.what);
    if (run.launch)
        add_line(&text, "kernel", describe_launch(*run.launch));
    if (fiber)
        add_line(&text, "thread",
                 format("block (%u,%u,%u), thread (%u,%u,%u), lane %u of warp %u", run.block.x, run.block.y,
                        run.block.z, fiber->index.x, fiber->index.y, fiber->index.z, fiber->lane,
                        fiber->thread / 32U));
    add_line(&text, "source", source);
    if (f.address)
        add_line(&text, "address",
                 format("%#zx, %zu bytes: ", (size_t)f.address, f.bytes) +
                     (f.where.empty() ? describe_address(f.address) : f.where));
    add_line(&text, "look", f.hint);
    return text;
}

static void tell(const Fault &f, const Fiber *fiber)
{
    std::string source = f.site.file ? source_of(f.site) : f.pc ? source_of(f.pc) : "";
    std::string text = compose(f, fiber, source);
    if (!hook) {
        fflush(stdout);
        fputs(text.c_str(), stderr);
        fflush(stderr);
        _exit(70);
    }
    ech_emu_report r = {};
    r.kind = f.kind;
    r.kernel = run.launch ? run.launch->kernel : "";
    r.source = source.c_str();
    r.text = text.c_str();
    if (fiber) {
        unsigned block[3] = {run.block.x, run.block.y, run.block.z};
        unsigned thread[3] = {fiber->index.x, fiber->index.y, fiber->index.z};
        memcpy(r.block, block, sizeof block);
        memcpy(r.thread, thread, sizeof thread);
    }
    r.address = f.address;
    r.bytes = f.bytes;
    hook(hook_data, &r);
}

/* A fiber leaves nothing behind on its stack: the fault moves out before it is left for ever. */
static Fault pending;

void report(Fault &&f)
{
    if (!current) {
        Guard guard(lock);
        tell(f, nullptr);
        return;
    }
    pending = std::move(f);
    run.given_up = true;
    fiber_leave();
}

void report_of(const Fiber &fiber)
{
    tell(pending, &fiber);
    pending = Fault();
}

void report_now(Fault &&fault, const Fiber &fiber)
{
    tell(fault, &fiber);
}

} // namespace ech_emu

using namespace ech_emu;

void ech_emu_on_report(ech_emu_report_fn fn, void *data)
{
    Guard guard(lock);
    hook = fn;
    hook_data = data;
}

const char *ech_emu_kind_name(enum ech_emu_kind kind)
{
    return kind >= 0 && kind < ECH_EMU_KINDS ? NAMES[kind] : "unknown";
}
