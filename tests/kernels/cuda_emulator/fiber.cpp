/* Fibers: one stack a thread of a block, kept for the process, switched without a system call. */
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#include "internal.h"

namespace ech_emu
{

thread_local Fiber *current __attribute__((tls_model("initial-exec")));

static void enter()
{
    const Launch *l = run.launch;
    l->invoke(l->params);
    current->wait = DONE;
    fiber_leave();
    abort();
}

#ifdef __x86_64__

extern "C" void ech_emu_switch(void **save, void *to);
__asm__(R"(
.text
.hidden ech_emu_switch
.globl ech_emu_switch
.type ech_emu_switch, @function
ech_emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size ech_emu_switch, .-ech_emu_switch
)");

static void *scheduler;

/* Stacks lie a power of two apart: an offset a thread keeps their tops out of one cache set. */
void fiber_start(Fiber &f)
{
    uintptr_t top = f.stack + STACK_BYTES - size_t{64} * (f.thread % 61U) - 64;
    void **frame = reinterpret_cast<void **>(top - 8);
    *frame = nullptr;
    *--frame = reinterpret_cast<void *>(enter);
    for (int i = 0; i < 6; i++)
        *--frame = nullptr;
    f.stack_pointer = frame;
    f.wait = READY;
}

void fiber_resume(Fiber &f)
{
    current = &f;
    ech_emu_switch(&scheduler, f.stack_pointer);
    current = nullptr;
}

void fiber_leave()
{
    ech_emu_switch(&current->stack_pointer, scheduler);
}

#else

static ucontext_t scheduler;

void fiber_start(Fiber &f)
{
    static std::vector<ucontext_t> contexts(1024);
    ucontext_t *c = &contexts[f.thread];
    getcontext(c);
    c->uc_stack.ss_sp = reinterpret_cast<void *>(f.stack);
    c->uc_stack.ss_size = STACK_BYTES;
    c->uc_link = nullptr;
    makecontext(c, enter, 0);
    f.stack_pointer = c;
    f.wait = READY;
}

void fiber_resume(Fiber &f)
{
    current = &f;
    swapcontext(&scheduler, static_cast<ucontext_t *>(f.stack_pointer));
    current = nullptr;
}

void fiber_leave()
{
    swapcontext(static_cast<ucontext_t *>(current->stack_pointer), &scheduler);
}

#endif

void fiber_stacks(std::vector<Fiber> &fibers)
{
    size_t bytes = fibers.size() * STACK_BYTES;
    void *all =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        perror("cuda emulator: stacks");
        abort();
    }
    for (size_t i = 0; i < fibers.size(); i++) {
        fibers[i].stack = reinterpret_cast<uintptr_t>(all) + i * STACK_BYTES;
        mprotect(reinterpret_cast<void *>(fibers[i].stack), 4096, PROT_NONE); /* an overflow ends at once */
    }
}

} // namespace ech_emu
