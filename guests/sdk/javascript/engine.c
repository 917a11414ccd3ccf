// A guest that is QuickJS, for machines written in JavaScript. The scripts are a
// part of the module: package bundle puts them into ls_script, one after another,
// each ended by a zero byte. The first is prelude.js.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep.h"
#include "quickjs.h"

// Its address is exported, so that bundle finds the place; two zero bytes end it.
char ls_script[(1 << 20) + 2];

static JSContext *js;
static JSValue entry; // __lockstep of prelude.js

static void fail(void) {
    JSValue exception = JS_GetException(js);
    const char *text = JS_ToCString(js, exception);
    if (text) ls_log(text, strlen(text));
    JSValue stack = JS_GetPropertyStr(js, exception, "stack");
    text = JS_IsUndefined(stack) ? NULL : JS_ToCString(js, stack);
    if (text) ls_log(text, strlen(text));
    __builtin_trap();
}

static JSValue checked(JSValue v) {
    if (JS_IsException(v)) fail();
    return v;
}

// bytes of an ArrayBuffer.
static bool bytes(JSValueConst v, uint8_t **at, size_t *size) {
    *at = JS_GetArrayBuffer(js, size, v);
    return *at != NULL;
}

static JSValue host_input(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n, (void)a;
    ls_text in = ls_input();
    return JS_NewArrayBufferCopy(c, (const uint8_t *)in.at, in.size);
}
static JSValue host_output(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)c, (void)self, (void)n;
    uint8_t *at;
    size_t size;
    if (!bytes(a[0], &at, &size)) return JS_EXCEPTION;
    ls_output_write(at, size);
    return JS_UNDEFINED;
}
static JSValue host_emit(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)c, (void)self, (void)n;
    uint8_t *at;
    size_t size;
    if (!bytes(a[0], &at, &size)) return JS_EXCEPTION;
    ls_emit(at, size);
    return JS_UNDEFINED;
}
static JSValue host_time(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n, (void)a;
    return JS_NewBigInt64(c, ls_time());
}
static JSValue host_seq(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n, (void)a;
    return JS_NewBigUint64(c, ls_seq());
}
static JSValue host_caller(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n, (void)a;
    uint8_t id[32];
    ls_caller(id);
    return JS_NewArrayBufferCopy(c, id, sizeof id);
}
static JSValue host_random(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n;
    uint32_t size;
    if (JS_ToUint32(c, &size, a[0])) return JS_EXCEPTION;
    if (size > 65536) return JS_ThrowRangeError(c, "at most 65536 bytes of randomness");
    uint8_t *b = js_malloc(c, size + 1);
    if (!b) return JS_EXCEPTION;
    ls_random(b, size);
    JSValue v = JS_NewArrayBufferCopy(c, b, size);
    js_free(c, b);
    return v;
}
static JSValue host_set_timer(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n;
    int64_t id, at;
    if (JS_ToBigInt64(c, &id, a[0]) || JS_ToBigInt64(c, &at, a[1])) return JS_EXCEPTION;
    ls_set_timer(id, at);
    return JS_UNDEFINED;
}
static JSValue host_log(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n;
    const char *text = JS_ToCString(c, a[0]);
    if (!text) return JS_EXCEPTION;
    ls_log(text, strlen(text));
    JS_FreeCString(c, text);
    return JS_UNDEFINED;
}

// CBOR is here and not in JavaScript, where it would cost a hundred times the gas.
enum { MAX_DEPTH = 64 };
#define SAFE ((1LL << 53) - 1)

// decode reads an item; where there is none it makes the reader bad.
static JSValue decode(ls_request *r, int depth) {
    int major;
    const uint64_t n = ls_read_head(r, &major);
    const size_t left = r->end - r->at;
    if (depth > MAX_DEPTH || (major < 2 ? n > INT64_MAX : major < 5 && n > left)) r->bad = true;
    if (r->bad) return JS_UNDEFINED;
    switch (major) {
    case 0:
    case 1: {
        int64_t v = major ? ~(int64_t)n : (int64_t)n;
        return v >= -SAFE && v <= SAFE ? JS_NewInt64(js, v) : JS_NewBigInt64(js, v);
    }
    case 2: {
        JSValue copy = JS_NewArrayBufferCopy(js, r->at, n), global = JS_GetGlobalObject(js);
        JSValue constructor = JS_GetPropertyStr(js, global, "Uint8Array");
        JSValue array = JS_CallConstructor(js, constructor, 1, (JSValueConst *)&copy);
        JS_FreeValue(js, copy), JS_FreeValue(js, global), JS_FreeValue(js, constructor);
        r->at += n;
        return array;
    }
    case 3:
        r->at += n;
        return JS_NewStringLen(js, (const char *)r->at - n, n);
    case 4: {
        JSValue array = JS_NewArray(js);
        for (uint64_t i = 0; i < n && !r->bad; i++) JS_SetPropertyUint32(js, array, i, decode(r, depth + 1));
        return array;
    }
    case 7:
        if (n == 20 || n == 21) return JS_NewBool(js, n == 21);
        if (n == 22) return JS_NULL;
    }
    r->bad = true;
    return JS_UNDEFINED;
}

static bool encode(ls_writer *w, JSValueConst v, int depth);

static bool encode_number(ls_writer *w, JSValueConst v, bool big) {
    double d = 0;
    long long n;
    if (big) {
        const char *text = JS_ToCString(js, v);
        errno = 0;
        n = text ? strtoll(text, NULL, 10) : 0;
        if (text) JS_FreeCString(js, text);
        if (errno) return JS_ThrowRangeError(js, "an integer has 64 bits"), false;
    } else {
        if (JS_ToFloat64(js, &d, v)) return false;
        if (!(d >= -SAFE && d <= SAFE) || d != (double)(n = (long long)d)) return JS_ThrowTypeError(js, "a number is an integer of at most 2^53-1; beyond it is a BigInt"), false;
    }
    ls_put_int(w, n);
    return true;
}

static bool encode_object(ls_writer *w, JSValueConst v, int depth) {
    if (JS_IsArray(js, v)) {
        JSValue length = JS_GetPropertyStr(js, v, "length");
        uint32_t n;
        if (JS_ToUint32(js, &n, length)) return false;
        ls_put_array(w, n);
        for (uint32_t i = 0; i < n; i++) {
            JSValue item = JS_GetPropertyUint32(js, v, i);
            bool ok = encode(w, item, depth + 1);
            JS_FreeValue(js, item);
            if (!ok) return false;
        }
        return true;
    }
    size_t offset, length, each, size;
    JSValue buffer = JS_GetTypedArrayBuffer(js, v, &offset, &length, &each);
    if (JS_IsException(buffer)) return false;
    const char *at = (const char *)JS_GetArrayBuffer(js, &size, buffer);
    ls_text part = {at + offset, length};
    ls_put_data(w, part);
    JS_FreeValue(js, buffer);
    return true;
}

static bool encode(ls_writer *w, JSValueConst v, int depth) {
    if (depth > MAX_DEPTH) return JS_ThrowRangeError(js, "nested too deep"), false;
    if (JS_IsNull(v) || JS_IsUndefined(v)) return ls_put_null(w), true;
    if (JS_IsBool(v)) return ls_put_bool(w, JS_ToBool(js, v)), true;
    if (JS_IsNumber(v)) return encode_number(w, v, false);
    if (JS_IsBigInt(js, v)) return encode_number(w, v, true);
    if (JS_IsObject(v)) return encode_object(w, v, depth);
    if (!JS_IsString(v)) return JS_ThrowTypeError(js, "an answer is integers, strings, Uint8Array, arrays, booleans and null"), false;
    ls_text t;
    t.at = JS_ToCStringLen(js, &t.size, v);
    if (!t.at) return false;
    ls_put_text(w, t);
    JS_FreeCString(js, t.at);
    return true;
}

// decode(buffer) answers undefined where it is not one item.
static JSValue host_decode(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)c, (void)self, (void)n;
    uint8_t *at;
    size_t size;
    if (!bytes(a[0], &at, &size)) return JS_EXCEPTION;
    ls_text t = {(const char *)at, size};
    ls_request r = ls_reader(t);
    JSValue v = decode(&r, 0);
    if (ls_end(&r)) return v;
    JS_FreeValue(js, v);
    return JS_UNDEFINED;
}
static JSValue host_encode(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n;
    ls_writer w = {0};
    JSValue v = encode(&w, a[0], 0) ? JS_NewArrayBufferCopy(c, w.at, w.size) : JS_EXCEPTION;
    free(w.at);
    return v;
}
// utf8(text) is an ArrayBuffer.
static JSValue host_utf8(JSContext *c, JSValueConst self, int n, JSValueConst *a) {
    (void)self, (void)n;
    size_t size;
    const char *text = JS_ToCStringLen(c, &size, a[0]);
    if (!text) return JS_EXCEPTION;
    JSValue v = JS_NewArrayBufferCopy(c, (const uint8_t *)text, size);
    JS_FreeCString(c, text);
    return v;
}

// compare(a, b) is below, at or above 0 by the order of the bytes in UTF-8.
static JSValue host_compare(JSContext *c, JSValueConst self, int n, JSValueConst *arg) {
    (void)self, (void)n;
    ls_text a = {0}, b = {0};
    a.at = JS_ToCStringLen(c, &a.size, arg[0]);
    b.at = a.at ? JS_ToCStringLen(c, &b.size, arg[1]) : NULL;
    int order = 0;
    if (b.at) order = memcmp(a.at, b.at, a.size < b.size ? a.size : b.size);
    if (!order) order = (a.size > b.size) - (a.size < b.size);
    JSValue v = b.at ? JS_NewInt32(c, order) : JS_EXCEPTION;
    if (b.at) JS_FreeCString(c, b.at);
    if (a.at) JS_FreeCString(c, a.at);
    return v;
}

static const JSCFunctionListEntry host[] = {
    JS_CFUNC_DEF("input", 0, host_input),   JS_CFUNC_DEF("output", 1, host_output), JS_CFUNC_DEF("emit", 1, host_emit),
    JS_CFUNC_DEF("time", 0, host_time),     JS_CFUNC_DEF("seq", 0, host_seq),       JS_CFUNC_DEF("caller", 0, host_caller),
    JS_CFUNC_DEF("random", 1, host_random), JS_CFUNC_DEF("setTimer", 2, host_set_timer), JS_CFUNC_DEF("log", 1, host_log),
    JS_CFUNC_DEF("decode", 1, host_decode), JS_CFUNC_DEF("encode", 1, host_encode), JS_CFUNC_DEF("utf8", 1, host_utf8),
    JS_CFUNC_DEF("compare", 2, host_compare),
};

// boot runs the scripts, on deploy and after an upgrade.
static void boot(void) {
    JSRuntime *runtime = JS_NewRuntime();
    js = JS_NewContext(runtime);
    if (!js) __builtin_trap();
    JSValue global = JS_GetGlobalObject(js), functions = JS_NewObject(js);
    JS_SetPropertyFunctionList(js, functions, host, sizeof host / sizeof *host);
    JS_SetPropertyStr(js, global, "__host", functions);
    int n = 0;
    for (const char *s = ls_script; *s; s += strlen(s) + 1, n++)
        JS_FreeValue(js, checked(JS_Eval(js, s, strlen(s), n ? "guest.js" : "prelude.js", JS_EVAL_TYPE_GLOBAL)));
    entry = checked(JS_GetPropertyStr(js, global, "__lockstep"));
    JS_FreeValue(js, global);
}

static uint32_t run(const char *what) {
    JSValue argument = JS_NewString(js, what);
    JSValue result = checked(JS_Call(js, entry, JS_UNDEFINED, 1, (JSValueConst *)&argument));
    JSContext *of;
    int ran;
    while ((ran = JS_ExecutePendingJob(JS_GetRuntime(js), &of)) > 0) {
    }
    if (ran < 0) fail();
    uint32_t code;
    if (JS_ToUint32(js, &code, result)) fail();
    JS_FreeValue(js, argument);
    return code;
}

LS_EXPORT(init) uint32_t init(void) { return boot(), run("init"); }
LS_EXPORT(load) uint32_t load(void) { return boot(), run("load"); }
LS_EXPORT(apply) uint32_t apply(void) { return run("apply"); }
LS_EXPORT(query) uint32_t query(void) { return run("query"); }
LS_EXPORT(invariant) uint32_t invariant(void) { return run("invariant"); }
LS_EXPORT(timer) uint32_t timer(void) { return run("timer"); }
LS_EXPORT(save) uint32_t save(void) { return run("save"); }
