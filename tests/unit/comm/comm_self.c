/* runtime/comm with one rank and without MPI; every allocation made to fail once. */
#include "tests/harness.h"

#include "base/fault.h"
#include "base/mem.h"
#include "comm/comm.h"

static struct ech_comm *open_self(void)
{
    struct ech_comm *comm = NULL;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_comm_open_self(&comm, &err), ECH_OK);
    return comm;
}

static void topology(void **state)
{
    (void)state;
    struct ech_comm *comm = open_self();
    assert_int_equal(ech_comm_rank(comm), 0);
    assert_int_equal(ech_comm_size(comm), 1);
    assert_int_equal(ech_comm_node(comm), 0);
    assert_int_equal(ech_comm_nodes(comm), 1);
    assert_int_equal(ech_comm_node_rank(comm), 0);
    assert_int_equal(ech_comm_node_size(comm), 1);
    assert_int_equal(ech_comm_node_of(comm, 0), 0);
    assert_int_equal(ech_comm_rank_at(comm, 0, 0), 0);
    assert_int_equal(ech_comm_rank_at(comm, 0, 1), -1);
    assert_int_equal(ech_comm_rank_at(comm, 1, 0), -1);
    assert_true(strlen(ech_comm_host(comm)) > 0);
    assert_null(ech_comm_handle(comm));
    ech_comm_close(comm);
    ech_comm_close(NULL);
}

static void collectives(void **state)
{
    (void)state;
    struct ech_comm *comm = open_self();
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_barrier(comm, &err), ECH_OK);
    assert_int_equal(ech_node_barrier(comm, &err), ECH_OK);
    int64_t v[3] = {4, -5, 6};
    assert_int_equal(ech_sum_i64(comm, v, 3, &err), ECH_OK);
    assert_int_equal(ech_max_i64(comm, v, 3, &err), ECH_OK);
    assert_true(v[0] == 4 && v[1] == -5 && v[2] == 6);
    int64_t gathered[3] = {0};
    assert_int_equal(ech_allgather(comm, v, sizeof v, gathered, &err), ECH_OK);
    assert_memory_equal(v, gathered, sizeof v);
    assert_int_equal(ech_bcast(comm, v, sizeof v, 0, &err), ECH_OK);
    assert_int_equal(ech_bcast(comm, NULL, 0, 0, &err), ECH_OK);
    void *all = NULL;
    size_t count = 99;
    assert_int_equal(ech_allgatherv(comm, "abc", 3, &all, &count, &err), ECH_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(all, "abc", 3);
    ech_free(all);
    all = NULL;
    assert_int_equal(ech_allgatherv(comm, NULL, 0, &all, &count, &err), ECH_OK);
    assert_true(count == 0 && all != NULL);
    ech_free(all);
    assert_int_equal(ech_exscan_i64(comm, v, 3, &err), ECH_OK);
    assert_true(v[0] == 0 && v[1] == 0 && v[2] == 0);
    ech_comm_close(comm);
}

static void agreement(void **state)
{
    (void)state;
    struct ech_comm *comm = open_self();
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_agree(comm, &err), ECH_OK);
    ech_fail_at(&err, ECH_DATA, "x.yaml", 3, 4, "a text of %d words", 5);
    assert_int_equal(ech_agree(comm, &err), ECH_DATA);
    char line[256];
    assert_string_equal(ech_err_print(&err, line, sizeof line), "x.yaml:3:4: a text of 5 words [rank 0]");
    ech_comm_close(comm);
}

static void messages(void **state)
{
    (void)state;
    struct ech_comm *comm = open_self();
    struct ech_err err = ECH_ERR_NONE;
    int from = -1, tag = -1;
    void *data = NULL;
    size_t bytes = 99;
    assert_false(ech_msg_poll(comm, &from, &tag, &data, &bytes));
    char text[] = "first";
    assert_int_equal(ech_msg_send(comm, 0, 7, text, sizeof text, &err), ECH_OK);
    memset(text, 'x', sizeof text); /* it was copied */
    assert_int_equal(ech_msg_send(comm, 0, 8, NULL, 0, &err), ECH_OK);
    assert_true(ech_msg_poll(comm, &from, &tag, &data, &bytes));
    assert_true(from == 0 && tag == 7 && bytes == 6);
    assert_string_equal(data, "first");
    ech_free(data);
    assert_true(ech_msg_poll(comm, &from, &tag, &data, &bytes));
    assert_true(tag == 8 && bytes == 0);
    ech_free(data);
    assert_false(ech_msg_poll(comm, &from, &tag, &data, &bytes));
    assert_int_equal(ech_msg_send(comm, 0, 9, "left over", 10, &err), ECH_OK);
    assert_int_equal(ech_msg_send(comm, 0, 9, "x", (size_t)2 << 30, &err), ECH_BUG);
    ech_comm_close(comm); /* frees it */
}

static void children(void **state)
{
    (void)state;
    struct ech_comm *comm = open_self(), *child = comm;
    struct ech_err err = ECH_ERR_NONE;
    assert_int_equal(ech_comm_split(comm, -1, &child, &err), ECH_OK);
    assert_null(child);
    assert_int_equal(ech_comm_split(comm, 3, &child, &err), ECH_OK);
    assert_int_equal(ech_comm_size(child), 1);
    ech_comm_close(child);
    bool alive = true;
    assert_int_equal(ech_comm_survivors(comm, &alive, &child, &err), ECH_OK);
    assert_int_equal(ech_comm_rank(child), 0);
    ech_comm_close(child);
    ech_comm_close(comm);
}

static void shared_memory(void **state)
{
    (void)state;
    struct ech_comm *comm = open_self();
    struct ech_err err = ECH_ERR_NONE;
    void *base = NULL;
    size_t bytes = 3 * 4096 + 5;
    assert_int_equal(ech_shm_open(comm, bytes, &base, &err), ECH_OK);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(((unsigned char *)base)[i], 0);
    memset(base, 7, bytes);
    ech_shm_close(base, bytes);
    ech_shm_close(NULL, 0);
    base = comm;
    assert_int_equal(ech_shm_open(comm, (size_t)1 << 60, &base, &err), ECH_UNAVAILABLE);
    assert_ptr_equal(base, comm); /* outputs are set only on success */
    assert_non_null(strstr(err.text, "shared memory"));
    ech_comm_close(comm);
}

/* One pass through everything that allocates; the leak checker watches. */
static int everything(struct ech_err *err)
{
    struct ech_comm *comm = NULL, *child = NULL;
    void *all = NULL, *data = NULL;
    size_t count, bytes;
    int from, tag;
    int code = ech_comm_open_self(&comm, err);
    if (code == ECH_OK)
        code = ech_comm_split(comm, 0, &child, err);
    if (code == ECH_OK)
        code = ech_allgatherv(comm, "abc", 3, &all, &count, err);
    if (code == ECH_OK)
        code = ech_msg_send(comm, 0, 1, "abc", 3, err);
    if (code == ECH_OK && ech_msg_poll(comm, &from, &tag, &data, &bytes))
        ech_free(data);
    ech_free(all);
    ech_comm_close(child);
    ech_comm_close(comm);
    return code;
}

static void allocations_fail(void **state)
{
    (void)state;
    int n = 1;
    for (;; n++) {
        struct ech_err err = ECH_ERR_NONE;
        ech_fault_arm(ECH_FAULT_ALLOC, n);
        int code = everything(&err);
        bool fired = ech_fault_fired();
        ech_fault_arm(-1, 0);
        if (!fired) {
            assert_int_equal(code, ECH_OK);
            break;
        }
        assert_int_equal(code, ECH_UNAVAILABLE);
        assert_int_equal(err.code, ECH_UNAVAILABLE);
    }
    assert_true(n > 4);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(topology),         cmocka_unit_test(collectives), cmocka_unit_test(agreement),
    cmocka_unit_test(messages),         cmocka_unit_test(children),    cmocka_unit_test(shared_memory),
    cmocka_unit_test(allocations_fail),
};

ECH_TEST_MAIN(tests)
