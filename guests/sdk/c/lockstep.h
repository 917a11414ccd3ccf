// lockstep.h is the Lockstep SDK for C: the guest contract, version 1, and the
// CBOR that requests and answers are made of. It needs memcpy, memcmp and
// realloc, which wasi-libc has.
//
//     #include "lockstep.h"
//
//     static int64_t n;
//
//     LS_EXPORT(apply) uint32_t apply(void) {
//         ls_request q = ls_read_request();           // ["add", 2]
//         if (!ls_op(&q, "add")) return ls_unknown();
//         int64_t d = ls_int(&q);
//         if (!ls_end(&q)) return ls_malformed();
//         ls_write_int(n += d);                       // the answer
//         return 0;                                   // or ls_reject(code, "why")
//     }
//
// An input that is rejected or traps leaves no trace: there is nothing to undo.
// Build with -Wl,--stack-first, so that a stack that overflows traps.
#ifndef LOCKSTEP_H
#define LOCKSTEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#define LS_C extern "C"
#else
#define LS_C
#endif

// LS_EXPORT(apply) makes a function the guest's lockstep_apply. The others are
// query, invariant, init, timer, save and load; all are uint32_t (void). An invariant
// that does not hold is a rejection: lockstep test asks after each input, replicas at
// each audit.
#define LS_EXPORT(name) LS_C __attribute__((export_name("lockstep_" #name)))
#define LS_IMPORT(name) __attribute__((import_module("lockstep_v1"), import_name(#name)))

// The host functions, as wasmabi has them.
LS_IMPORT(input_size) uint32_t ls_input_size(void);
LS_IMPORT(input_read) uint32_t ls_input_read(void *into, uint32_t size, uint32_t offset);
LS_IMPORT(output_write) void ls_output_write(const void *from, uint32_t size);
LS_IMPORT(time) int64_t ls_time(void);
LS_IMPORT(seq) uint64_t ls_seq(void);
LS_IMPORT(caller) void ls_caller(uint8_t into[32]);
LS_IMPORT(random) void ls_random(void *into, uint32_t size);
LS_IMPORT(emit) void ls_emit(const void *from, uint32_t size);
LS_IMPORT(set_timer) void ls_set_timer(int64_t id, int64_t at);
LS_IMPORT(log) void ls_log(const void *from, uint32_t size);

// ls_text is a string of another's memory.
typedef struct {
    const char *at;
    size_t size;
} ls_text;

static inline ls_text ls_str(const char *s) {
    ls_text t = {s, strlen(s)};
    return t;
}
static inline bool ls_same(ls_text a, ls_text b) { return a.size == b.size && memcmp(a.at, b.at, a.size) == 0; }

// ls_trap ends the input, of which no trace is left but this line in the log.
static inline void ls_trap(const char *why) {
    ls_log(why, strlen(why));
    __builtin_trap();
}

// ls_input reads the input into a buffer that is kept for the next one.
static inline ls_text ls_input(void) {
    static char *buffer;
    static size_t room;
    size_t size = ls_input_size();
    if (size > room) {
        room = size;
        buffer = (char *)realloc(buffer, room);
        if (!buffer) ls_trap("out of memory");
    }
    ls_input_read(buffer, size, 0);
    ls_text t = {buffer, size};
    return t;
}

// ls_timer_id is the input of lockstep_timer.
static inline int64_t ls_timer_id(void) {
    int64_t id = 0;
    ls_input_read(&id, sizeof id, 0);
    return id;
}

// Codes of rejections; a guest's own begin at 17.
enum { LS_MALFORMED = 16 };

static inline uint32_t ls_reject(uint32_t code, const char *why) {
    ls_output_write(why, strlen(why));
    return code;
}
static inline uint32_t ls_malformed(void) { return ls_reject(LS_MALFORMED, "malformed request"); }
static inline uint32_t ls_unknown(void) { return ls_reject(LS_MALFORMED, "unknown operation"); }

// Writing. A writer collects items; ls_out is the one whose items become the
// output when they are sent.
typedef struct {
    uint8_t *at;
    size_t size, room;
} ls_writer;

static inline void ls_put(ls_writer *w, const void *from, size_t size) {
    if (w->size + size > w->room) {
        w->room = 2 * w->room + size + 64;
        w->at = (uint8_t *)realloc(w->at, w->room);
        if (!w->at) ls_trap("out of memory");
    }
    memcpy(w->at + w->size, from, size);
    w->size += size;
}
static inline void ls_head(ls_writer *w, int major, uint64_t n) {
    uint8_t b[9];
    int size = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000 ? 4 : 8;
    b[0] = major << 5 | (size == 0 ? n : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27);
    for (int i = 0; i < size; i++) b[1 + i] = n >> 8 * (size - 1 - i);
    ls_put(w, b, 1 + size);
}
static inline void ls_put_int(ls_writer *w, int64_t n) { ls_head(w, n < 0, n < 0 ? ~(uint64_t)n : (uint64_t)n); }
static inline void ls_put_array(ls_writer *w, size_t n) { ls_head(w, 4, n); }
static inline void ls_put_text(ls_writer *w, ls_text t) { ls_head(w, 3, t.size), ls_put(w, t.at, t.size); }
static inline void ls_put_data(ls_writer *w, ls_text t) { ls_head(w, 2, t.size), ls_put(w, t.at, t.size); }
static inline void ls_put_bool(ls_writer *w, bool b) { ls_put(w, b ? "\xf5" : "\xf4", 1); }
static inline void ls_put_null(ls_writer *w) { ls_put(w, "\xf6", 1); }

// ls_answer sends what was collected as output, ls_emit_items as an event;
// both empty the writer for the next time.
static inline void ls_answer(ls_writer *w) { ls_output_write(w->at, w->size), w->size = 0; }
static inline void ls_emit_items(ls_writer *w) { ls_emit(w->at, w->size), w->size = 0; }

// Answers of one item.
static inline void ls_write_int(int64_t n) {
    ls_writer w = {0, 0, 0};
    ls_put_int(&w, n), ls_answer(&w), free(w.at);
}
static inline void ls_write_bool(bool b) { ls_output_write(b ? "\xf5" : "\xf4", 1); }
static inline void ls_write_null(void) { ls_output_write("\xf6", 1); }

// Reading. An item that is not what is asked for, or not in its shortest form,
// makes the reader bad; what it reads from then on is 0.
typedef struct {
    const uint8_t *at, *end;
    bool bad;
    ls_text op;  // of a request: its first item
    size_t args; // and how many follow
} ls_request;

static inline uint64_t ls_read_head(ls_request *r, int *major) {
    static const uint64_t least[] = {24, 0x100, 0x10000, 0x100000000};
    *major = -1;
    if (r->bad || r->at == r->end) return r->bad = true, 0;
    int info = *r->at & 31, size = info < 24 ? 0 : 1 << (info - 24);
    uint64_t n = info < 24 ? info : 0;
    if (info > 27 || r->end - r->at <= size) return r->bad = true, 0;
    *major = *r->at++ >> 5;
    for (int i = 0; i < size; i++) n = n << 8 | *r->at++;
    if (size && n < least[info - 24]) return r->bad = true, 0;
    return n;
}
static inline uint64_t ls_want(ls_request *r, int major) {
    int got;
    uint64_t n = ls_read_head(r, &got);
    if (got != major) r->bad = true;
    return r->bad ? 0 : n;
}
static inline int64_t ls_int(ls_request *r) {
    int major;
    uint64_t n = ls_read_head(r, &major);
    if (r->bad || major > 1 || n > INT64_MAX) return r->bad = true, 0;
    return major ? ~(int64_t)n : (int64_t)n;
}
static inline ls_text ls_read_string(ls_request *r, int major) {
    uint64_t n = ls_want(r, major);
    if (n > (uint64_t)(r->end - r->at)) r->bad = true, n = 0;
    ls_text t = {(const char *)r->at, (size_t)n};
    r->at += n;
    return t;
}
static inline ls_text ls_read_text(ls_request *r) { return ls_read_string(r, 3); }
static inline ls_text ls_read_data(ls_request *r) { return ls_read_string(r, 2); }
static inline size_t ls_read_array(ls_request *r) {
    uint64_t n = ls_want(r, 4);
    if (n > (uint64_t)(r->end - r->at)) r->bad = true;
    return r->bad ? 0 : (size_t)n;
}
// ls_end tells whether all was read, and was as it was asked for.
static inline bool ls_end(const ls_request *r) { return !r->bad && r->at == r->end; }

// ls_reader reads items of bytes, such as a saved state.
static inline ls_request ls_reader(ls_text from) {
    ls_request r = {(const uint8_t *)from.at, (const uint8_t *)from.at + from.size, false, {0, 0}, 0};
    return r;
}
// ls_read_request reads the input: an array of an operation and its arguments.
static inline ls_request ls_read_request(void) {
    ls_request r = ls_reader(ls_input());
    r.args = ls_read_array(&r) - 1;
    r.op = ls_read_text(&r);
    return r;
}
static inline bool ls_op(const ls_request *r, const char *op) { return ls_same(r->op, ls_str(op)); }
// ls_args tells whether there are n arguments, and nothing is wrong so far.
static inline bool ls_args(const ls_request *r, size_t n) { return !r->bad && r->args == n; }

#ifdef __cplusplus
}
#endif
#endif
