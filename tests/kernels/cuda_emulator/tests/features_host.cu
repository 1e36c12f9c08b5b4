/* What the runtime promises to host code: refusals, streams, events, limits, failures. */
#include "cases.h"

void settle()
{
    cudaDeviceSynchronize();
    cudaGetLastError();
}

__global__ static void fill(int *x, int value)
{
    x[threadIdx.x] = value;
}

__global__ static void touch_dynamic(int *x)
{
    ECH_SHARED_DYNAMIC(int, all);
    all[threadIdx.x] = 1;
    x[threadIdx.x] = all[threadIdx.x];
}

static cudaError_t shape(dim3 grid, dim3 block, size_t shared)
{
    int *x = device_empty<int>(1024);
    ECH_LAUNCH(touch_dynamic, grid, block, shared, nullptr, x);
    cudaError_t error = cudaGetLastError();
    cudaDeviceSynchronize();
    cudaFree(x);
    return error;
}

void feature_refused_launches()
{
    expect(shape(1, 64, 256) == cudaSuccess, "a good shape");
    expect(shape(0, 64, 256) == cudaErrorInvalidConfiguration, "an empty grid");
    expect(shape(1, 0, 256) == cudaErrorInvalidConfiguration, "an empty block");
    expect(shape(1, 1025, 8192) == cudaErrorInvalidConfiguration, "1025 threads");
    expect(shape(dim3(1, 65536), 1, 256) == cudaErrorInvalidConfiguration, "65536 in y");
    expect(shape(1, dim3(1, 1, 65), 512) == cudaErrorInvalidConfiguration, "65 in z");
    expect(shape(1, 64, 49153) == cudaErrorInvalidValue, "more shared memory than a block has");
    expect(cudaFuncSetAttribute(touch_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536) ==
               cudaSuccess,
           "raise it");
    expect(shape(1, 64, 65536) == cudaSuccess, "after raising the limit");
    expect(shape(1, 64, 65537) == cudaErrorInvalidValue, "one more");
    expect(cudaFuncSetAttribute(touch_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 20) ==
               cudaErrorInvalidValue,
           "more than the device has");
    cudaGetLastError();
}

void feature_streams_are_late()
{
    cudaStream_t stream = nullptr;
    void *pinned = nullptr;
    expect(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess, "stream");
    expect(cudaMallocHost(&pinned, 4 * sizeof(int)) == cudaSuccess, "pinned");
    int *host = static_cast<int *>(pinned), *x = device_empty<int>(4);
    for (int i = 0; i < 4; i++)
        host[i] = 5;
    cudaMemcpyAsync(x, host, 4 * sizeof(int), cudaMemcpyHostToDevice, stream);
    host[0] = 6; /* too early: the copy has not run */
    cudaMemcpyAsync(host, x, 4 * sizeof(int), cudaMemcpyDeviceToHost, stream);
    ECH_LAUNCH(fill, 1, 4, 0, stream, x, 9);
    expect(cudaGetLastError() == cudaSuccess, "launch");
    host[1] = 7;
    expect(cudaStreamQuery(stream) == cudaErrorNotReady, "work is queued");
    expect(cudaStreamSynchronize(stream) == cudaSuccess, "wait");
    expect(cudaStreamQuery(stream) == cudaSuccess, "all done");
    expect(host[0] == 6 && host[1] == 7 && host[2] == 5, "%d %d %d", host[0], host[1], host[2]);
    expect(host_copy(x, 4)[3] == 9, "the kernel came last");

    std::vector<int> pageable(4, 1);
    cudaMemcpyAsync(x, pageable.data(), 4 * sizeof(int), cudaMemcpyHostToDevice, stream);
    pageable[0] = 2; /* a pageable source was taken at once */
    cudaStreamSynchronize(stream);
    expect(host_copy(x, 4)[0] == 1, "pageable source");
    cudaFreeHost(pinned);
    cudaFree(x);
    expect(cudaStreamDestroy(stream) == cudaSuccess, "destroy");
    expect(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle, "no such stream");
    cudaGetLastError();
}

void feature_events()
{
    cudaStream_t a = nullptr, b = nullptr;
    cudaEvent_t first = nullptr, second = nullptr;
    cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
    expect(cudaEventCreate(&first) == cudaSuccess && cudaEventCreate(&second) == cudaSuccess, "events");
    expect(cudaEventQuery(first) == cudaSuccess, "never recorded: done");
    int *x = device_copy(std::vector<int>(4, 0));
    cudaEventRecord(first, a);
    ECH_LAUNCH(fill, 1, 4, 0, a, x, 1);
    expect(cudaGetLastError() == cudaSuccess, "launch");
    cudaEventRecord(second, a);
    expect(cudaEventElapsedTime(nullptr, first, second) == cudaErrorInvalidResourceHandle, "no place for it");
    cudaGetLastError(); /* else the next launch would seem to have failed */
    expect(cudaStreamWaitEvent(b, second, 0) == cudaSuccess, "wait");
    ECH_LAUNCH(fill, 1, 4, 0, b, x, 2);
    expect(cudaGetLastError() == cudaSuccess, "launch");
    expect(cudaStreamSynchronize(b) == cudaSuccess, "b");
    expect(cudaEventQuery(second) == cudaSuccess, "b waited for it");
    float ms = -1.0F;
    expect(cudaEventElapsedTime(&ms, first, second) == cudaSuccess && ms >= 0.0F, "time %g",
           static_cast<double>(ms));
    expect(host_copy(x, 4)[0] == 2, "b came behind a");
    cudaGetLastError();
    cudaEventDestroy(first);
    cudaEventDestroy(second);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    cudaFree(x);
}

void feature_memory_limit()
{
    size_t before = ech_emu_live_allocations(), left = 0, total = 0;
    ech_emu_set_memory(1 << 20);
    void *p = nullptr, *q = nullptr;
    expect(cudaMalloc(&p, 600000) == cudaSuccess, "the first fits");
    expect(cudaMalloc(&q, 600000) == cudaErrorMemoryAllocation && q == nullptr, "the second does not");
    expect(cudaGetLastError() == cudaErrorMemoryAllocation, "and is remembered");
    expect(cudaGetLastError() == cudaSuccess, "once");
    expect(cudaMemGetInfo(&left, &total) == cudaSuccess && total == 1 << 20 && left == (1 << 20) - 600000,
           "%zu of %zu left", left, total);
    expect(strcmp(cudaGetErrorName(cudaErrorMemoryAllocation), "cudaErrorMemoryAllocation") == 0, "name");
    cudaFree(p);
    expect(ech_emu_live_allocations() == before, "all freed");
    ech_emu_set_memory(size_t{1} << 30);
    for (int i = 0; i < 20; i++) { /* more than the address range: freed places are used again */
        expect(cudaMalloc(&p, size_t{1} << 29) == cudaSuccess, "round %d", i);
        expect(cudaFree(p) == cudaSuccess, "round %d", i);
    }
}

void feature_no_device()
{
    int count = -1;
    ech_emu_set_devices(0);
    expect(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver && count == 0, "no driver: 35");
    void *p = nullptr;
    expect(cudaMalloc(&p, 16) == cudaErrorInsufficientDriver, "nothing else works either");
    ech_emu_set_devices(1);
    cudaGetLastError();
    expect(cudaGetDeviceCount(&count) == cudaSuccess && count == 1, "one device");
    expect(cudaSetDevice(1) == cudaErrorInvalidDevice && cudaSetDevice(0) == cudaSuccess, "device 0 only");
    cudaDeviceProp properties;
    expect(cudaGetDeviceProperties(&properties, 0) == cudaSuccess && properties.major == 9, "properties");
    int shared = 0;
    expect(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == cudaSuccess &&
               static_cast<size_t>(shared) == properties.sharedMemPerBlockOptin,
           "attribute");
    cudaGetLastError();
}

void feature_failing_calls()
{
    void *p = nullptr;
    ech_emu_fail_call(2);
    expect(cudaMalloc(&p, 16) == cudaSuccess, "the first call works");
    expect(cudaMemset(p, 0, 16) == cudaErrorUnknown, "the second fails");
    expect(cudaMemset(p, 0, 16) == cudaSuccess, "the third works");
    cudaGetLastError();
    ech_emu_fail_call(1);
    ECH_LAUNCH(fill, 1, 4, 0, nullptr, static_cast<int *>(p), 1);
    expect(cudaGetLastError() == cudaErrorUnknown, "a launch can fail too");
    ech_emu_fail_call(0);
    cudaFree(p);
}
