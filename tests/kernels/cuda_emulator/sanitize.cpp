/* gcc's alignment and bounds checks, and the atomics that its thread sanitizer takes over. The layouts are
 * the compiler's interface (libubsan's ubsan_handlers.h names them). */
#include <cstdint>

#include "internal.h"

using namespace ech_emu;

namespace
{

struct Location {
    const char *file;
    uint32_t line, column;
};

struct Type {
    uint16_t kind, info;
    char name[1];
};

struct Mismatch {
    Location at;
    const Type *type;
    unsigned char log_alignment, check;
};

struct Bounds {
    Location at;
    const Type *array, *index;
};

void misaligned(const Mismatch *m, void *p)
{
    uintptr_t a = reinterpret_cast<uintptr_t>(p), alignment = uintptr_t{1} << m->log_alignment;
    if ((!current && !in_arena(a)) || run.given_up || a % alignment == 0)
        return;
    Fault f;
    f.kind = ECH_EMU_MISALIGNED;
    f.site = {m->at.file, static_cast<int>(m->at.line)};
    f.address = a;
    f.bytes = alignment;
    f.what = format("%s wants an address that is a multiple of %zu", m->type->name, (size_t)alignment);
    f.hint =
        "a row's stride or a tensor's offset is no multiple of the vector; test it before choosing vectors";
    report(std::move(f));
}

void out_of_bounds(const Bounds *b, uintptr_t index)
{
    if (!current || run.given_up)
        return;
    Fault f;
    f.kind = ECH_EMU_BOUNDS;
    f.site = {b->at.file, static_cast<int>(b->at.line)};
    f.what = format("index %lld of an array of type %s", (long long)index, b->array->name);
    f.hint = "the array's own size is the limit, also where what follows belongs to the same block";
    report(std::move(f));
}

} // namespace

extern "C" {
void __ubsan_handle_type_mismatch_v1(void *data, void *p);
void __ubsan_handle_out_of_bounds(void *data, void *index);

void __ubsan_handle_type_mismatch_v1(void *data, void *p)
{
    misaligned(static_cast<const Mismatch *>(data), p);
}

void __ubsan_handle_out_of_bounds(void *data, void *index)
{
    out_of_bounds(static_cast<const Bounds *>(data), reinterpret_cast<uintptr_t>(index));
}
}

/* Host code's own atomics (guards of statics, std::atomic): the plain operation. */
#define ATOMIC_STEP(bits, name, builtin)                                                                     \
    extern "C" uint##bits##_t __tsan_atomic##bits##_##name(uint##bits##_t *p, uint##bits##_t v, int)         \
    {                                                                                                        \
        return builtin(p, v, __ATOMIC_SEQ_CST);                                                              \
    }
#define ATOMIC_SWAP(bits, name)                                                                              \
    extern "C" int __tsan_atomic##bits##_compare_exchange_##name(                                            \
        uint##bits##_t *p, uint##bits##_t *expected, uint##bits##_t v, int, int)                             \
    {                                                                                                        \
        return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
    }
#define ATOMICS(bits)                                                                                        \
    extern "C" uint##bits##_t __tsan_atomic##bits##_load(uint##bits##_t *p, int)                             \
    {                                                                                                        \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                         \
    }                                                                                                        \
    extern "C" void __tsan_atomic##bits##_store(uint##bits##_t *p, uint##bits##_t v, int)                    \
    {                                                                                                        \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                            \
    }                                                                                                        \
    ATOMIC_STEP(bits, exchange, __atomic_exchange_n)                                                         \
    ATOMIC_STEP(bits, fetch_add, __atomic_fetch_add)                                                         \
    ATOMIC_STEP(bits, fetch_sub, __atomic_fetch_sub)                                                         \
    ATOMIC_STEP(bits, fetch_and, __atomic_fetch_and)                                                         \
    ATOMIC_STEP(bits, fetch_or, __atomic_fetch_or)                                                           \
    ATOMIC_STEP(bits, fetch_xor, __atomic_fetch_xor)                                                         \
    ATOMIC_SWAP(bits, strong)                                                                                \
    ATOMIC_SWAP(bits, weak)
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

extern "C" void __tsan_atomic_thread_fence(int)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
