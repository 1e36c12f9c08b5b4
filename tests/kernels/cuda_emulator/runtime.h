/* Between the parts of the runtime stand-in. Every queued operation runs late: when something waits for its
 * stream. So host code that forgets to wait reads old bytes here, as it sometimes would on a device. */
#ifndef ECH_EMU_RUNTIME_H
#define ECH_EMU_RUNTIME_H

#include "internal.h"

namespace ech_emu
{

/* Opens a runtime function: takes the lock, counts the call, and lets ech_emu_fail_call fail it. */
#define ECH_EMU_ENTER(call)                                                                                  \
    Guard guard(lock);                                                                                       \
    arena_open();                                                                                            \
    if (fails_now())                                                                                         \
        return remember(cudaErrorUnknown);                                                                   \
    if (!device_here())                                                                                      \
        return remember(cudaErrorInsufficientDriver);                                                        \
    (void)call

bool device_here();

using Work = std::function<cudaError_t()>;
/* What `work` returns is kept for the one who waits. `stream` may be null: the legacy stream, ordered with
 * every stream that is not cudaStreamNonBlocking. False: no such stream. */
bool enqueue(cudaStream_t stream, Work work);
cudaError_t drain(cudaStream_t stream); /* runs all of it; the first error since the last wait */
cudaError_t drain_all();
bool stream_known(cudaStream_t stream);

void misuse(const char *call, const std::string &what, const char *hint, const void *pc);

} // namespace ech_emu

#endif
