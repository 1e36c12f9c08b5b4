/* Atomics: watched as such (two atomics never race), then done plainly, since one fiber runs at a time. */
#ifndef ECH_EMU_DEVICE_ATOMIC_H
#define ECH_EMU_DEVICE_ATOMIC_H

#include <cstddef>

namespace ech_emu
{

void atomic_access(const volatile void *p, size_t n, const void *pc);

/* Stores step(old) and returns old. Never watched as a plain access. */
template <class T, class F> __attribute__((no_sanitize("thread"), noinline)) T atomic_step(T *p, F step)
{
    atomic_access(p, sizeof *p, __builtin_return_address(0));
    T old = *p;
    *p = step(old);
    return old;
}

} // namespace ech_emu

#define ECH_EMU_ATOMIC(name, type, expression)                                                               \
    inline type atomic##name(type *p, type v)                                                                \
    {                                                                                                        \
        return ech_emu::atomic_step(                                                                         \
            p, [v](type old) __attribute__((no_sanitize("thread")))->type {                                  \
                (void)old;                                                                                   \
                return expression;                                                                           \
            });                                                                                              \
    }                                                                                                        \
    inline type atomic##name##_block(type *p, type v)                                                        \
    {                                                                                                        \
        return atomic##name(p, v);                                                                           \
    }
#define ECH_EMU_ATOMIC_INTEGER(type)                                                                         \
    ECH_EMU_ATOMIC(Min, type, old < v ? old : v)                                                             \
    ECH_EMU_ATOMIC(Max, type, old > v ? old : v)                                                             \
    ECH_EMU_ATOMIC(And, type, old &v)                                                                        \
    ECH_EMU_ATOMIC(Or, type, old | v)                                                                        \
    ECH_EMU_ATOMIC(Xor, type, old ^ v)

ECH_EMU_ATOMIC_INTEGER(int)
ECH_EMU_ATOMIC_INTEGER(unsigned)
ECH_EMU_ATOMIC_INTEGER(long long)
ECH_EMU_ATOMIC_INTEGER(unsigned long long)
ECH_EMU_ATOMIC(Add, int, static_cast<int>(static_cast<unsigned>(old) + static_cast<unsigned>(v)))
ECH_EMU_ATOMIC(Add, unsigned, old + v)
ECH_EMU_ATOMIC(Add, unsigned long long, old + v)
ECH_EMU_ATOMIC(Add, float, old + v)
ECH_EMU_ATOMIC(Add, double, old + v)
ECH_EMU_ATOMIC(Sub, int, static_cast<int>(static_cast<unsigned>(old) - static_cast<unsigned>(v)))
ECH_EMU_ATOMIC(Sub, unsigned, old - v)
ECH_EMU_ATOMIC(Exch, int, v)
ECH_EMU_ATOMIC(Exch, unsigned, v)
ECH_EMU_ATOMIC(Exch, unsigned long long, v)
ECH_EMU_ATOMIC(Exch, float, v)
ECH_EMU_ATOMIC(Inc, unsigned, old >= v ? 0 : old + 1)
ECH_EMU_ATOMIC(Dec, unsigned, old == 0 || old > v ? v : old - 1)
#undef ECH_EMU_ATOMIC_INTEGER
#undef ECH_EMU_ATOMIC

#define ECH_EMU_CAS(type)                                                                                    \
    inline type atomicCAS(type *p, type expected, type v)                                                    \
    {                                                                                                        \
        return ech_emu::atomic_step(                                                                         \
            p, [=](type old) __attribute__((no_sanitize("thread")))->type {                                  \
                return old == expected ? v : old;                                                            \
            });                                                                                              \
    }
ECH_EMU_CAS(int)
ECH_EMU_CAS(unsigned)
ECH_EMU_CAS(unsigned long long)
ECH_EMU_CAS(unsigned short)
#undef ECH_EMU_CAS

#endif
