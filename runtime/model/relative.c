/* Disentangled attention (DeBERTa): a score has, beside query . key, the query . the key of the distance and
 * the key . the query of the distance. Both are products with the table of distances (pack.c put it through
 * the layer's projections), spread into a bias of one head of one sequence at a time, so that memory is
 * (longest row) x (longest row + 4 rows of the table). */
#include "model/layer.h"

/* A head's columns of some rows. */
static struct ech_rows head_of(struct ech_rows x, int64_t first, int64_t col)
{
    size_t at = (size_t)(first * x.ld + col) * ech_atype_bytes(x.type);
    return (struct ech_rows){(char *)x.at + at, x.ld, x.type, NULL};
}

/* to (rows, 2 relative) = x W^T, W the head's part of the piece; *made stays NULL where there is none. */
static int distances(struct ech_pass *p, enum ech_packed_piece piece, int64_t layer, int64_t head,
                     int64_t rows, struct ech_rows x, float *to, const float **made)
{
    const struct ech_net *net = p->net;
    const struct ech_matrix *m = ech_packing_matrix(&net->packing, piece, ech_spec_group(&net->spec, layer));
    *made = NULL;
    if (!m->parts)
        return ECH_OP_OK;
    size_t stride = ech_packing_head_bytes(&net->packing, net->ops, &net->spec);
    struct ech_linear_args args = {.size = sizeof args,
                                   .m = rows,
                                   .n = m->n,
                                   .k = m->k,
                                   .x = x.at,
                                   .ldx = x.ld,
                                   .packed = (const char *)ech_matrix_at(&m->part[0], net->packed) +
                                             (size_t)head * stride,
                                   .y = to,
                                   .ldy = m->n,
                                   .format = m->part[0].format,
                                   .x_type = x.type};
    *made = to;
    return net->ops->linear(p->w->queue, &args);
}

/* The bias of one head of one sequence. */
static int spread(struct ech_pass *p, int64_t layer, int64_t head, int64_t rows, struct ech_rows q,
                  struct ech_rows k)
{
    const struct ech_net *net = p->net;
    struct ech_work *w = p->w;
    struct ech_relative_args args = {.size = sizeof args,
                                     .rows = rows,
                                     .cols = 2 * net->spec.relative,
                                     .ldc = 2 * net->spec.relative,
                                     .ldp = 2 * net->spec.relative,
                                     .index = ech_packing_at(&net->packing, net->packed, ECH_P_RELINDEX, 0),
                                     .centre = net->packing.span - 1,
                                     .scale = net->spec.attention_scale,
                                     .y = w->relative.bias,
                                     .ldy = rows};
    int status = distances(p, ECH_P_RELKEY, layer, head, rows, q, w->relative.content, &args.content);
    if (status == ECH_OP_OK)
        status = distances(p, ECH_P_RELQUERY, layer, head, rows, k, w->relative.position, &args.position);
    return status == ECH_OP_OK ? net->ops->relative(w->queue, &args) : status;
}

int ech_relative_attend(struct ech_pass *p, int64_t layer, const struct ech_heads *h, struct ech_rows y)
{
    const struct ech_spec *s = &p->net->spec;
    int status = ECH_OP_OK;
    for (int64_t i = 0; i < p->sequences; i++) {
        int64_t first = p->starts[i], rows = p->starts[i + 1] - first, starts[2] = {0, rows};
        for (int64_t head = 0; status == ECH_OP_OK && head < s->heads; head++) {
            int64_t col = head * s->head_dim;
            struct ech_rows q = head_of(h->q, first, col), k = head_of(h->k, first, col),
                            v = head_of(h->v, first, col), out = head_of(y, first, col);
            status = spread(p, layer, head, rows, q, k);
            struct ech_attention_args args = {.size = sizeof args,
                                              .sequences = 1,
                                              .heads = 1,
                                              .kv_heads = 1,
                                              .head_dim = s->head_dim,
                                              .starts = starts,
                                              .q = q.at,
                                              .k = k.at,
                                              .v = v.at,
                                              .ldq = q.ld,
                                              .ldk = k.ld,
                                              .ldv = v.ld,
                                              .bias = p->w->relative.bias,
                                              .bias_span = rows,
                                              .scale = s->attention_scale,
                                              .out = out.at,
                                              .ldo = out.ld,
                                              .compute = p->net->flow.attention,
                                              .q_type = q.type,
                                              .kv_type = k.type,
                                              .out_type = out.type};
            if (status == ECH_OP_OK)
                status = p->net->ops->attention(p->w->queue, &args);
        }
    }
    return status;
}
