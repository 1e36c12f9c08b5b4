/* What a warp operation gives each lane, once all lanes of its mask have met. */
#include "block.h"

namespace ech_emu
{

static uint64_t reduce_lanes(const Fiber *lanes, uint32_t group, Reduce how)
{
    bool first = true;
    uint32_t sum = 0;
    for (int i = 0; i < 32; i++) {
        if (!(group >> i & 1U))
            continue;
        uint32_t v = static_cast<uint32_t>(lanes[i].op.value);
        int32_t sv = static_cast<int32_t>(v), ss = static_cast<int32_t>(sum);
        if (first)
            sum = v;
        else if (how == Reduce::ADD)
            sum += v;
        else if (how == Reduce::MIN)
            sum = sv < ss ? v : sum;
        else if (how == Reduce::MAX)
            sum = sv > ss ? v : sum;
        else if (how == Reduce::UMIN)
            sum = v < sum ? v : sum;
        else if (how == Reduce::UMAX)
            sum = v > sum ? v : sum;
        else
            sum = how == Reduce::AND ? sum & v : how == Reduce::OR ? sum | v : sum ^ v;
        first = false;
    }
    return sum;
}

/* As PTX's shfl: segments of `width` lanes; a lane past the segment gives the caller its own value. */
static unsigned shuffle_source(const WarpOp &op, unsigned lane)
{
    unsigned width = static_cast<unsigned>(op.width), begin = lane & ~(width - 1), last = begin + width - 1;
    switch (op.kind) {
    case WarpKind::SHUFFLE:
        return begin + (op.lane & (width - 1));
    case WarpKind::SHUFFLE_UP:
        return lane >= begin + op.lane ? lane - op.lane : lane;
    case WarpKind::SHUFFLE_DOWN:
        return op.lane <= last - lane ? lane + op.lane : lane;
    default:
        return (lane ^ op.lane) <= last ? lane ^ op.lane : lane;
    }
}

static uint64_t votes(const Fiber *lanes, uint32_t group)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 32; i++)
        if (group >> i & 1U)
            bits |= (lanes[i].op.value & 1U) << i;
    return bits;
}

static uint64_t matches(const Fiber *lanes, uint32_t group, uint64_t value)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < 32; i++)
        if ((group >> i & 1U) && lanes[i].op.value == value)
            bits |= uint64_t{1} << i;
    return bits;
}

int warp_results(const Fiber *lanes, uint32_t group, uint64_t results[32])
{
    for (unsigned i = 0; i < 32; i++) {
        if (!(group >> i & 1U))
            continue;
        const WarpOp &op = lanes[i].op;
        unsigned source = i;
        switch (op.kind) {
        case WarpKind::SYNC:
            results[i] = 0;
            break;
        case WarpKind::BALLOT:
            results[i] = votes(lanes, group);
            break;
        case WarpKind::MATCH:
            results[i] = matches(lanes, group, op.value);
            break;
        case WarpKind::REDUCE:
            results[i] = reduce_lanes(lanes, group, static_cast<Reduce>(op.lane));
            break;
        default:
            source = shuffle_source(op, i);
            if (!(group >> source & 1U))
                return static_cast<int>(i);
            results[i] = lanes[source].op.value;
        }
    }
    return -1;
}

} // namespace ech_emu
