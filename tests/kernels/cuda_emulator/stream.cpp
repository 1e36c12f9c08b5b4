/* Streams and events. A stream is a queue of work not yet done; an event is a place in a queue. */
#include <algorithm>
#include <deque>
#include <map>
#include <memory>

#include "runtime.h"

struct CUstream_st {
    bool blocking;
    uint64_t queued, done; /* numbers of the last work queued and done */
    std::deque<ech_emu::Work> work;
};

struct CUevent_st {
    CUstream_st *stream; /* null: never recorded, or its stream is gone */
    uint64_t place;
    long long time;
    bool timed;
};

namespace ech_emu
{

static CUstream_st legacy = {true, 0, 0, {}};
static std::vector<std::unique_ptr<CUstream_st>> streams;
static std::vector<std::unique_ptr<CUevent_st>> events;
static cudaError_t failed = cudaSuccess; /* of work done since anyone asked */

static CUstream_st *find(cudaStream_t s)
{
    if (!s || s == cudaStreamLegacy || s == cudaStreamPerThread)
        return &legacy;
    auto i = std::find_if(streams.begin(), streams.end(), [s](const auto &own) { return own.get() == s; });
    return i == streams.end() ? nullptr : i->get();
}

static CUevent_st *find_event(cudaEvent_t e)
{
    auto i = std::find_if(events.begin(), events.end(), [e](const auto &own) { return own.get() == e; });
    return i == events.end() ? nullptr : i->get();
}

bool stream_known(cudaStream_t s)
{
    return find(s) != nullptr;
}

static void step(CUstream_st *s)
{
    Work work = std::move(s->work.front());
    s->work.pop_front();
    cudaError_t error = work();
    s->done++;
    if (error != cudaSuccess && failed == cudaSuccess)
        failed = error;
}

static void run_to(CUstream_st *s, uint64_t place)
{
    while (s->done < place && !s->work.empty())
        step(s);
}

static cudaError_t take_failure()
{
    cudaError_t error = failed;
    failed = cudaSuccess;
    return error;
}

bool enqueue(cudaStream_t stream, Work work)
{
    CUstream_st *s = find(stream);
    if (!s)
        return false;
    if (s == &legacy) {
        for (const auto &other : streams)
            if (other->blocking)
                run_to(other.get(), other->queued);
    } else if (s->blocking) {
        run_to(&legacy, legacy.queued);
    }
    s->queued++;
    s->work.push_back(std::move(work));
    return true;
}

cudaError_t drain(cudaStream_t stream)
{
    CUstream_st *s = find(stream);
    if (!s)
        return cudaErrorInvalidResourceHandle;
    if (s == &legacy)
        for (const auto &other : streams)
            if (other->blocking)
                run_to(other.get(), other->queued);
    run_to(s, s->queued);
    return take_failure();
}

/* Youngest stream first: an order that no caller may count on. */
cudaError_t drain_all()
{
    for (size_t i = streams.size(); i-- > 0;)
        run_to(streams[i].get(), streams[i]->queued);
    run_to(&legacy, legacy.queued);
    return take_failure();
}

static cudaError_t create(cudaStream_t *out, unsigned flags)
{
    if (!out || (flags != cudaStreamDefault && flags != cudaStreamNonBlocking))
        return remember(cudaErrorInvalidValue);
    streams.emplace_back(new CUstream_st{flags == cudaStreamDefault, 0, 0, {}});
    *out = streams.back().get();
    return cudaSuccess;
}

static bool event_done(const CUevent_st *e)
{
    return !e->stream || e->stream->done >= e->place;
}

} // namespace ech_emu

using namespace ech_emu;

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    ECH_EMU_ENTER("cudaStreamCreate");
    return create(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    ECH_EMU_ENTER("cudaStreamCreateWithFlags");
    return create(stream, flags);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int)
{
    ECH_EMU_ENTER("cudaStreamCreateWithPriority");
    return create(stream, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    ECH_EMU_ENTER("cudaDeviceGetStreamPriorityRange");
    if (least)
        *least = 0;
    if (greatest)
        *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaStreamDestroy");
    CUstream_st *s = find(stream);
    if (!s || s == &legacy)
        return remember(cudaErrorInvalidResourceHandle);
    run_to(s, s->queued);
    for (const auto &e : events)
        if (e->stream == s)
            e->stream = nullptr;
    streams.erase(
        std::find_if(streams.begin(), streams.end(), [s](const auto &own) { return own.get() == s; }));
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaStreamSynchronize");
    demand_checked("cudaStreamSynchronize");
    return remember(drain(stream));
}

/* Lets one piece of work happen, so that a loop over it ends. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaStreamQuery");
    CUstream_st *s = find(stream);
    if (!s)
        return remember(cudaErrorInvalidResourceHandle);
    if (s->work.empty())
        return remember(take_failure());
    step(s);
    return cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int)
{
    ECH_EMU_ENTER("cudaStreamWaitEvent");
    CUevent_st *e = find_event(event);
    if (!e || !stream_known(stream))
        return remember(cudaErrorInvalidResourceHandle);
    CUstream_st *other = e->stream;
    uint64_t place = e->place;
    if (!other || other == find(stream))
        return cudaSuccess;
    enqueue(stream, [other, place] {
        bool alive = other == &legacy || std::any_of(streams.begin(), streams.end(),
                                                     [other](const auto &own) { return own.get() == other; });
        if (alive)
            run_to(other, place);
        return cudaSuccess;
    });
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *data)
{
    ECH_EMU_ENTER("cudaLaunchHostFunc");
    if (!fn)
        return remember(cudaErrorInvalidValue);
    bool queued = enqueue(stream, [fn, data] {
        fn(data);
        return cudaSuccess;
    });
    return remember(queued ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    ECH_EMU_ENTER("cudaEventCreateWithFlags");
    if (!event)
        return remember(cudaErrorInvalidValue);
    events.emplace_back(new CUevent_st{nullptr, 0, 0, !(flags & cudaEventDisableTiming)});
    *event = events.back().get();
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    ECH_EMU_ENTER("cudaEventDestroy");
    auto i =
        std::find_if(events.begin(), events.end(), [event](const auto &own) { return own.get() == event; });
    if (i == events.end())
        return remember(cudaErrorInvalidResourceHandle);
    if ((*i)->stream)
        run_to((*i)->stream, (*i)->place);
    events.erase(i);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    ECH_EMU_ENTER("cudaEventRecord");
    demand_checked("cudaEventRecord");
    CUevent_st *e = find_event(event);
    CUstream_st *s = find(stream);
    if (!e || !s)
        return remember(cudaErrorInvalidResourceHandle);
    enqueue(stream, [e] {
        e->time = ticks();
        return cudaSuccess;
    });
    e->stream = s;
    e->place = s->queued;
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int)
{
    return cudaEventRecord(event, stream);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    ECH_EMU_ENTER("cudaEventSynchronize");
    demand_checked("cudaEventSynchronize");
    CUevent_st *e = find_event(event);
    if (!e)
        return remember(cudaErrorInvalidResourceHandle);
    if (e->stream)
        run_to(e->stream, e->place);
    return remember(take_failure());
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    ECH_EMU_ENTER("cudaEventQuery");
    CUevent_st *e = find_event(event);
    if (!e)
        return remember(cudaErrorInvalidResourceHandle);
    if (event_done(e))
        return remember(take_failure());
    step(e->stream);
    return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    ECH_EMU_ENTER("cudaEventElapsedTime");
    const CUevent_st *a = find_event(start), *b = find_event(end);
    if (!a || !b || !ms || !a->timed || !b->timed)
        return remember(cudaErrorInvalidResourceHandle);
    if (!event_done(a) || !event_done(b))
        return remember(cudaErrorNotReady);
    *ms = static_cast<float>(static_cast<double>(b->time - a->time) * 1e-6);
    return cudaSuccess;
}
}
