/* A launch: the kernel, its shape, and its arguments copied when it is queued. */
#ifndef ECH_EMU_DEVICE_LAUNCH_H
#define ECH_EMU_DEVICE_LAUNCH_H

#include <cstddef>
#include <tuple>
#include <utility>

#include <cuda_runtime_api.h>

namespace ech_emu
{

/* A line of source; `file` lives for ever. */
struct Site {
    const char *file;
    int line;
};

struct Launch {
    const char *kernel;
    Site site;
    dim3 grid, block;
    size_t shared_bytes;
    const void *function;
    void (*invoke)(void *params); /* one thread of the kernel */
    void (*destroy)(void *params);
    void *params; /* owned; kernels may read it, as they may read parameter memory */
    size_t params_bytes;
};

void enqueue_launch(const Launch &l, cudaStream_t stream);

/* Static shared memory of this block, one place a key; the same place for all threads of the block. */
void *shared_static(const void *key, const char *name, size_t bytes, size_t alignment);
void *shared_dynamic();

template <class... P> struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;

    static void invoke(void *self)
    {
        Call *c = static_cast<Call *>(self);
        std::apply(c->kernel, c->arguments);
    }
    static void destroy(void *self)
    {
        delete static_cast<Call *>(self);
    }
};

template <class... P, class... A>
void launch(const char *name, const char *file, int line, void (*kernel)(P...), dim3 grid, dim3 block,
            size_t shared_bytes, cudaStream_t stream, A &&...arguments)
{
    using Made = Call<P...>;
    Made *made = new Made{kernel, std::tuple<P...>(static_cast<P>(std::forward<A>(arguments))...)};
    enqueue_launch({name,
                    {file, line},
                    grid,
                    block,
                    shared_bytes,
                    reinterpret_cast<const void *>(kernel),
                    Made::invoke,
                    Made::destroy,
                    made,
                    sizeof(Made)},
                   stream);
}

} // namespace ech_emu

#endif
