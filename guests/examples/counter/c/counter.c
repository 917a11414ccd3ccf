// A counter: ["add", n] adds, ["get"] asks.
#include "lockstep.h"

enum { OUT_OF_RANGE = 17 };
#define LIMIT ((1LL << 53) - 1) // what every language can count to, JavaScript too

static int64_t count;

LS_EXPORT(apply) uint32_t apply(void) {
    ls_request q = ls_read_request();
    if (q.bad) return ls_malformed();
    if (!ls_op(&q, "add")) return ls_unknown();
    int64_t n = ls_int(&q);
    if (!ls_args(&q, 1) || !ls_end(&q)) return ls_malformed();
    if (n < -LIMIT || n > LIMIT || count + n < -LIMIT || count + n > LIMIT) return ls_reject(OUT_OF_RANGE, "out of range");
    count += n;
    ls_writer event = {0};
    ls_put_array(&event, 2);
    ls_put_text(&event, ls_str("changed"));
    ls_put_int(&event, count);
    ls_emit_items(&event);
    free(event.at);
    ls_write_int(count);
    return 0;
}

LS_EXPORT(query) uint32_t query(void) {
    ls_request q = ls_read_request();
    if (q.bad) return ls_malformed();
    if (!ls_op(&q, "get")) return ls_unknown();
    if (!ls_args(&q, 0) || !ls_end(&q)) return ls_malformed();
    ls_write_int(count);
    return 0;
}

// The saved state is the same in all languages, so that any may take over.
LS_EXPORT(save) uint32_t save(void) {
    ls_write_int(count);
    return 0;
}

LS_EXPORT(load) uint32_t load(void) {
    ls_request r = ls_reader(ls_input());
    count = ls_int(&r);
    return ls_end(&r) ? 0 : ls_malformed();
}
