/* Faults of host code: launches nobody checks, device memory touched by hand, the runtime misused. */
#include "cases.h"

__global__ static void set_one(int *x)
{
    *x = 1;
}

static void launch_twice(bool check)
{
    int *x = device_empty<int>(1);
    ECH_LAUNCH(set_one, 1, 1, 0, nullptr, x); /* fault: unchecked_launch */
    if (check)
        expect(cudaGetLastError() == cudaSuccess, "first launch");
    ECH_LAUNCH(set_one, 1, 1, 0, nullptr, x);
    finish();
    cudaFree(x);
}

void unchecked_launch_bad()
{
    launch_twice(false);
}

void unchecked_launch_good()
{
    launch_twice(true);
}

static void launch_and_wait(bool check)
{
    int *x = device_empty<int>(1);
    ECH_LAUNCH(set_one, 1, 1, 0, nullptr, x); /* fault: unchecked_sync */
    if (check)
        expect(cudaPeekAtLastError() == cudaSuccess, "launch");
    cudaStreamSynchronize(nullptr);
    cudaFree(x);
}

void unchecked_sync_bad()
{
    launch_and_wait(false);
}

void unchecked_sync_good()
{
    launch_and_wait(true);
}

static void launch_and_copy(bool check)
{
    int *x = device_empty<int>(1), y = 0;
    ECH_LAUNCH(set_one, 1, 1, 0, nullptr, x); /* fault: unchecked_copy */
    if (check)
        expect(cudaGetLastError() == cudaSuccess, "launch");
    cudaMemcpy(&y, x, sizeof y, cudaMemcpyDeviceToHost);
    expect(y == 1, "the copy comes after the launch");
    cudaFree(x);
}

void unchecked_copy_bad()
{
    launch_and_copy(false);
}

void unchecked_copy_good()
{
    launch_and_copy(true);
}

void host_access_bad()
{
    int *x = device_copy(std::vector<int>{1});
    int *volatile seen = x;
    expect(*seen == 1, "unified memory it is not"); /* fault: host_access */
    cudaFree(x);
}

void host_access_good()
{
    int *x = device_copy(std::vector<int>{1});
    expect(host_copy(x, 1)[0] == 1, "copied");
    cudaFree(x);
}

void host_memcpy_bad()
{
    int *x = device_copy(std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8}), y[8];
    memcpy(y, x, sizeof y); /* fault: host_memcpy */
    cudaFree(x);
}

void host_memcpy_good()
{
    host_access_good();
}

void double_free_bad()
{
    int *x = device_empty<int>(1);
    expect(cudaFree(x) == cudaSuccess, "first");
    expect(cudaFree(x) == cudaErrorInvalidValue, "second"); /* fault: double_free */
}

void double_free_good()
{
    int *x = device_empty<int>(1);
    expect(cudaFree(x) == cudaSuccess, "once");
    expect(cudaFree(nullptr) == cudaSuccess, "null");
}

static void copy_of(size_t count)
{
    int *x = device_empty<int>(10);
    std::vector<int> host(11, 1);
    cudaMemcpy(x, host.data(), count * sizeof(int), cudaMemcpyHostToDevice); /* fault: copy_past_end */
    cudaFree(x);
}

void copy_past_end_bad()
{
    copy_of(11);
}

void copy_past_end_good()
{
    copy_of(10);
}

static void fill_of(size_t count)
{
    int *x = device_empty<int>(10);
    cudaMemsetAsync(x, 0, count * sizeof(int), nullptr); /* fault: fill_past_end */
    cudaDeviceSynchronize();
    cudaFree(x);
}

void fill_past_end_bad()
{
    fill_of(11);
}

void fill_past_end_good()
{
    fill_of(10);
}

static void copy_back(int written)
{
    int *x = device_empty<int>(2), y[2];
    cudaMemset(x, 0, static_cast<size_t>(written) * sizeof(int));
    cudaMemcpy(y, x, sizeof y, cudaMemcpyDeviceToHost); /* fault: unwritten_copied */
    cudaFree(x);
}

void unwritten_copied_bad()
{
    copy_back(1);
}

void unwritten_copied_good()
{
    copy_back(2);
}

static void pinned_source(bool wait)
{
    int *x = device_empty<int>(4);
    void *host = nullptr;
    cudaMallocHost(&host, 4 * sizeof(int));
    cudaMemcpyAsync(x, host, 4 * sizeof(int), cudaMemcpyHostToDevice,
                    nullptr); /* fault: pinned_freed_early */
    if (wait)
        cudaStreamSynchronize(nullptr);
    cudaFreeHost(host);
    cudaFree(x);
}

void pinned_freed_early_bad()
{
    pinned_source(false);
}

void pinned_freed_early_good()
{
    pinned_source(true);
}
