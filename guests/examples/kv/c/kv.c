// An ordered map from text to text. The map is an array sorted by key; see the
// C++ or Rust one for what a library's map makes of it.
#include "lockstep.h"

enum { TOO_LARGE = 17, MAX_KEY = 1024, MAX_VALUE = 65536, MAX_RANGE = 1000 };

typedef struct {
    ls_text key, value;
} entry;

static entry *entries;
static size_t count, room;

static int compare(ls_text a, ls_text b) {
    int c = memcmp(a.at, b.at, a.size < b.size ? a.size : b.size);
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

// find returns the first place whose key is not below the given one.
static size_t find(ls_text key) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(entries[mid].key, key) < 0) low = mid + 1;
        else high = mid;
    }
    return low;
}

static bool has(size_t i, ls_text key) { return i < count && ls_same(entries[i].key, key); }

static ls_text copy(ls_text t) {
    char *at = malloc(t.size + 1);
    if (!at) ls_trap("out of memory");
    memcpy(at, t.at, t.size);
    t.at = at;
    return t;
}

static void put(ls_text key, ls_text value) {
    size_t i = find(key);
    if (has(i, key)) {
        free((void *)entries[i].value.at);
        entries[i].value = copy(value);
        return;
    }
    if (count == room) {
        room = 2 * room + 16;
        entries = realloc(entries, room * sizeof *entries);
        if (!entries) ls_trap("out of memory");
    }
    memmove(entries + i + 1, entries + i, (count++ - i) * sizeof *entries);
    entries[i].key = copy(key), entries[i].value = copy(value);
}

static bool delete(ls_text key) {
    size_t i = find(key);
    if (!has(i, key)) return false;
    free((void *)entries[i].key.at), free((void *)entries[i].value.at);
    memmove(entries + i, entries + i + 1, (--count - i) * sizeof *entries);
    return true;
}

static ls_writer out;

static void put_entries(size_t from, size_t n) {
    ls_put_array(&out, n);
    for (size_t i = from; i < from + n; i++) {
        ls_put_array(&out, 2);
        ls_put_text(&out, entries[i].key);
        ls_put_text(&out, entries[i].value);
    }
    ls_answer(&out);
}

LS_EXPORT(apply) uint32_t apply(void) {
    ls_request q = ls_read_request();
    if (q.bad) return ls_malformed();
    if (ls_op(&q, "put")) {
        ls_text key = ls_read_text(&q), value = ls_read_text(&q);
        if (!ls_args(&q, 2) || !ls_end(&q)) return ls_malformed();
        if (key.size > MAX_KEY || value.size > MAX_VALUE) return ls_reject(TOO_LARGE, "key or value too large");
        put(key, value);
        ls_write_null();
        return 0;
    }
    if (ls_op(&q, "delete")) {
        ls_text key = ls_read_text(&q);
        if (!ls_args(&q, 1) || !ls_end(&q)) return ls_malformed();
        ls_write_bool(delete(key));
        return 0;
    }
    return ls_unknown();
}

static uint32_t range(ls_request *q) {
    ls_text from = ls_read_text(q), to = ls_read_text(q);
    int64_t limit = ls_int(q);
    if (!ls_args(q, 3) || !ls_end(q) || limit < 1 || limit > MAX_RANGE) return ls_malformed();
    size_t i = find(from), end = to.size ? find(to) : count;
    size_t n = end > i ? end - i : 0;
    put_entries(i, n < (size_t)limit ? n : (size_t)limit);
    return 0;
}

LS_EXPORT(query) uint32_t query(void) {
    ls_request q = ls_read_request();
    if (q.bad) return ls_malformed();
    if (ls_op(&q, "range")) return range(&q);
    if (ls_op(&q, "count")) {
        if (!ls_args(&q, 0) || !ls_end(&q)) return ls_malformed();
        ls_write_int(count);
        return 0;
    }
    if (!ls_op(&q, "get")) return ls_unknown();
    ls_text key = ls_read_text(&q);
    if (!ls_args(&q, 1) || !ls_end(&q)) return ls_malformed();
    size_t i = find(key);
    if (has(i, key)) ls_put_text(&out, entries[i].value);
    else ls_put_null(&out);
    ls_answer(&out);
    return 0;
}

// The saved state is all of the map, the same in all languages.
LS_EXPORT(save) uint32_t save(void) {
    put_entries(0, count);
    return 0;
}

LS_EXPORT(load) uint32_t load(void) {
    ls_request r = ls_reader(ls_input());
    for (size_t n = ls_read_array(&r); n-- && !r.bad;) {
        r.bad |= ls_read_array(&r) != 2;
        ls_text key = ls_read_text(&r), value = ls_read_text(&r);
        if (!r.bad) put(key, value);
    }
    return ls_end(&r) ? 0 : ls_malformed();
}
