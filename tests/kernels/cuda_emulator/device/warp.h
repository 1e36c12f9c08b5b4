/* Shuffles, votes, matches and reductions of a warp. Each meets the lanes of its mask and orders what they
 * did before with what they do after. */
#ifndef ECH_EMU_DEVICE_WARP_H
#define ECH_EMU_DEVICE_WARP_H

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "index.h"
#include "launch.h"

namespace ech_emu
{

enum class WarpKind { SYNC, SHUFFLE, SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_XOR, BALLOT, MATCH, REDUCE };
enum class Reduce { ADD, MIN, MAX, UMIN, UMAX, AND, OR, XOR };

struct WarpOp {
    WarpKind kind;
    uint32_t mask;
    uint64_t value; /* in; out after the meeting */
    uint32_t lane;  /* lane, distance or lane mask of a shuffle; the Reduce of a reduction */
    int width;
    Site site;
};

/* Plain arguments: a structure built by the caller would be watched as its stack is. */
uint64_t warp_meet(WarpKind kind, uint32_t mask, uint64_t value, uint32_t lane, int width, const char *file,
                   int line);

template <class T> uint64_t to_bits(T value)
{
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8, "a warp moves 1 to 8 bytes");
    uint64_t bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    return bits;
}

template <class T>
T shuffle(WarpKind kind, unsigned mask, T value, unsigned lane, int width, const char *file, int line)
{
    uint64_t got = warp_meet(kind, mask, to_bits(value), lane, width, file, line);
    T out;
    __builtin_memcpy(static_cast<void *>(&out), &got, sizeof out);
    return out;
}

inline uint64_t vote(unsigned mask, bool predicate, const char *file, int line)
{
    return warp_meet(WarpKind::BALLOT, mask, predicate, 0, 32, file, line);
}

template <class T> T reduce(Reduce how, unsigned mask, T value, const char *file, int line)
{
    static_assert(sizeof(T) == 4, "a reduction is over 32-bit integers");
    return static_cast<T>(static_cast<uint32_t>(warp_meet(
        WarpKind::REDUCE, mask, static_cast<uint32_t>(value), static_cast<uint32_t>(how), 32, file, line)));
}

} // namespace ech_emu

inline void __syncwarp(unsigned mask = 0xffffffffu, ECH_EMU_HERE)
{
    ech_emu::warp_meet(ech_emu::WarpKind::SYNC, mask, 0, 0, 32, file, line);
}

template <class T> T __shfl_sync(unsigned mask, T value, int lane, int width = 32, ECH_EMU_HERE)
{
    return ech_emu::shuffle(ech_emu::WarpKind::SHUFFLE, mask, value, static_cast<unsigned>(lane), width, file,
                            line);
}

template <class T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, ECH_EMU_HERE)
{
    return ech_emu::shuffle(ech_emu::WarpKind::SHUFFLE_UP, mask, value, delta, width, file, line);
}

template <class T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, ECH_EMU_HERE)
{
    return ech_emu::shuffle(ech_emu::WarpKind::SHUFFLE_DOWN, mask, value, delta, width, file, line);
}

template <class T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, ECH_EMU_HERE)
{
    return ech_emu::shuffle(ech_emu::WarpKind::SHUFFLE_XOR, mask, value, static_cast<unsigned>(lanes), width,
                            file, line);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, ECH_EMU_HERE)
{
    return static_cast<unsigned>(ech_emu::vote(mask, predicate != 0, file, line));
}

inline int __any_sync(unsigned mask, int predicate, ECH_EMU_HERE)
{
    return ech_emu::vote(mask, predicate != 0, file, line) != 0;
}

inline int __all_sync(unsigned mask, int predicate, ECH_EMU_HERE)
{
    return ech_emu::vote(mask, predicate == 0, file, line) == 0;
}

inline int __uni_sync(unsigned mask, int predicate, ECH_EMU_HERE)
{
    uint64_t yes = ech_emu::vote(mask, predicate != 0, file, line);
    uint64_t no = ech_emu::vote(mask, predicate == 0, file, line);
    return yes == 0 || no == 0;
}

template <class T> unsigned __match_any_sync(unsigned mask, T value, ECH_EMU_HERE)
{
    return static_cast<unsigned>(
        ech_emu::warp_meet(ech_emu::WarpKind::MATCH, mask, ech_emu::to_bits(value), 0, 32, file, line));
}

template <class T> unsigned __match_all_sync(unsigned mask, T value, int *all, ECH_EMU_HERE)
{
    unsigned same = __match_any_sync(mask, value, file, line);
    *all = __all_sync(mask, same == (mask & __activemask()), file, line);
    return *all ? same : 0;
}

#define ECH_EMU_REDUCE(name, type, how)                                                                      \
    inline type __reduce_##name##_sync(unsigned mask, type value, ECH_EMU_HERE)                              \
    {                                                                                                        \
        return ech_emu::reduce(ech_emu::Reduce::how, mask, value, file, line);                               \
    }
ECH_EMU_REDUCE(add, int, ADD)
ECH_EMU_REDUCE(add, unsigned, ADD)
ECH_EMU_REDUCE(min, int, MIN)
ECH_EMU_REDUCE(min, unsigned, UMIN)
ECH_EMU_REDUCE(max, int, MAX)
ECH_EMU_REDUCE(max, unsigned, UMAX)
ECH_EMU_REDUCE(and, unsigned, AND)
ECH_EMU_REDUCE(or, unsigned, OR)
ECH_EMU_REDUCE(xor, unsigned, XOR)
#undef ECH_EMU_REDUCE

#endif
