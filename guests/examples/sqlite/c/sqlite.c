// SQLite as a replicated database: the whole of it, data included, is the memory of a guest.
//
//     ["exec", sql, parameters…]    an input; a statement that fails leaves no trace
//     ["select", sql, parameters…]  a query, which may only read
//
// Both answer with the rows of the statement, each an array; a REAL is given as text. The clock of SQL
// is ordered time, and random() draws from the ordered stream: all replicas see the same.
#include <sqlite3.h>

#include "lockstep.h"

enum { SQL_ERROR = 17, NOT_A_QUERY = 18, MAX_ROWS = 10000 };

static sqlite3 *db;
static ls_writer out;

static uint32_t fail(void) {
    return ls_reject(SQL_ERROR, sqlite3_errmsg(db));
}

// bind gives a parameter the next item of the request.
static int bind(sqlite3_stmt *s, int i, ls_request *q) {
    if (q->at == q->end) return SQLITE_MISUSE;
    switch (*q->at >> 5) {
    case 0:
    case 1:
        return sqlite3_bind_int64(s, i, ls_int(q));
    case 2: {
        ls_text b = ls_read_data(q);
        return sqlite3_bind_blob64(s, i, b.at, b.size, SQLITE_TRANSIENT);
    }
    case 3: {
        ls_text t = ls_read_text(q);
        return sqlite3_bind_text64(s, i, t.at, t.size, SQLITE_TRANSIENT, SQLITE_UTF8);
    }
    case 7:
        switch (*q->at++) {
        case 0xf4: return sqlite3_bind_int64(s, i, 0);
        case 0xf5: return sqlite3_bind_int64(s, i, 1);
        case 0xf6: return sqlite3_bind_null(s, i);
        }
    }
    q->bad = true;
    return SQLITE_MISUSE;
}

static void put_column(ls_writer *w, sqlite3_stmt *s, int i) {
    ls_text t;
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER: ls_put_int(w, sqlite3_column_int64(s, i)); return;
    case SQLITE_NULL: ls_put_null(w); return;
    case SQLITE_BLOB:
        t.at = sqlite3_column_blob(s, i), t.size = sqlite3_column_bytes(s, i);
        ls_put_data(w, t);
        return;
    }
    t.at = (const char *)sqlite3_column_text(s, i), t.size = sqlite3_column_bytes(s, i);
    if (!t.at) ls_trap("out of memory");
    ls_put_text(w, t);
}

// rows steps a statement to its end.
static uint32_t rows(sqlite3_stmt *s) {
    static ls_writer items; // the rows, whose number comes before them
    size_t n = 0;
    items.size = out.size = 0;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        if (++n > MAX_ROWS) return ls_reject(SQL_ERROR, "more than 10000 rows");
        ls_put_array(&items, sqlite3_column_count(s));
        for (int i = 0; i < sqlite3_column_count(s); i++) put_column(&items, s, i);
    }
    if (rc != SQLITE_DONE) return fail();
    if (!sqlite3_get_autocommit(db)) return ls_reject(SQL_ERROR, "each input is a transaction already");
    ls_put_array(&out, n);
    if (items.size) ls_put(&out, items.at, items.size);
    ls_answer(&out);
    return 0;
}

static uint32_t run(const char *op, bool only_read) {
    ls_request q = ls_read_request();
    if (q.bad) return ls_malformed();
    if (!ls_op(&q, op)) return ls_unknown();
    ls_text sql = ls_read_text(&q);
    if (q.bad || q.args < 1) return ls_malformed();
    sqlite3_stmt *s = NULL;
    const char *tail;
    if (sqlite3_prepare_v2(db, sql.at, sql.size, &s, &tail) != SQLITE_OK) return fail();
    if (!s) return ls_reject(SQL_ERROR, "no statement");
    uint32_t code = 0;
    while (tail < sql.at + sql.size && strchr(" \t\r\n;", *tail)) tail++;
    if (tail != sql.at + sql.size) code = ls_reject(SQL_ERROR, "more than one statement");
    else if (only_read && !sqlite3_stmt_readonly(s)) code = ls_reject(NOT_A_QUERY, "not a query");
    else if ((size_t)sqlite3_bind_parameter_count(s) != q.args - 1) code = ls_reject(SQL_ERROR, "wrong number of parameters");
    for (size_t i = 1; !code && i < q.args; i++)
        if (bind(s, i, &q) != SQLITE_OK) code = q.bad ? ls_malformed() : fail();
    if (!code && !ls_end(&q)) code = ls_malformed();
    if (!code) code = rows(s);
    sqlite3_finalize(s);
    return code;
}

LS_EXPORT(init) uint32_t init(void) {
    if (sqlite3_open(":memory:", &db) != SQLITE_OK) return fail();
    return 0;
}

LS_EXPORT(apply) uint32_t apply(void) { return run("exec", false); }
LS_EXPORT(query) uint32_t query(void) { return run("select", true); }

// The saved state is a database file.
LS_EXPORT(save) uint32_t save(void) {
    sqlite3_int64 size;
    unsigned char *file = sqlite3_serialize(db, "main", &size, 0);
    if (size && !file) return fail();
    ls_output_write(file, size);
    return 0;
}

LS_EXPORT(load) uint32_t load(void) {
    uint32_t code = init(), size = ls_input_size();
    if (code || !size) return code;
    unsigned char *file = sqlite3_malloc64(size);
    if (!file) ls_trap("out of memory");
    ls_input_read(file, size, 0);
    if (sqlite3_deserialize(db, "main", file, size, size, SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE) != SQLITE_OK) return fail();
    return 0;
}

// What SQLite asks of an operating system: time and randomness, which are ordered, and no files.
static int no_open(sqlite3_vfs *v, sqlite3_filename n, sqlite3_file *f, int flags, int *o) {
    (void)v, (void)n, (void)flags, (void)o;
    f->pMethods = NULL;
    return SQLITE_CANTOPEN;
}
static int no_delete(sqlite3_vfs *v, const char *n, int sync) { return (void)v, (void)n, (void)sync, SQLITE_IOERR_DELETE_NOENT; }
static int no_access(sqlite3_vfs *v, const char *n, int flags, int *there) { return (void)v, (void)n, (void)flags, *there = 0, SQLITE_OK; }
static int full_path(sqlite3_vfs *v, const char *n, int size, char *to) { return (void)v, sqlite3_snprintf(size, to, "%s", n), SQLITE_OK; }
static int randomness(sqlite3_vfs *v, int size, char *to) { return (void)v, ls_random(to, size), size; }
static int no_sleep(sqlite3_vfs *v, int microseconds) { return (void)v, microseconds; }
static int last_error(sqlite3_vfs *v, int n, char *to) { return (void)v, (void)n, (void)to, 0; }
static int current_time64(sqlite3_vfs *v, sqlite3_int64 *ms) {
    (void)v;
    *ms = 210866760000000 + ls_time() / 1000000; // since noon of November 24, 4714 BC
    return SQLITE_OK;
}
static int current_time(sqlite3_vfs *v, double *day) {
    sqlite3_int64 ms;
    current_time64(v, &ms);
    *day = ms / 86400000.0;
    return SQLITE_OK;
}

int sqlite3_os_init(void) {
    static sqlite3_vfs vfs = {
        .iVersion = 2, .szOsFile = sizeof(sqlite3_file), .mxPathname = 64, .zName = "lockstep", .xOpen = no_open, .xDelete = no_delete,
        .xAccess = no_access, .xFullPathname = full_path, .xRandomness = randomness, .xSleep = no_sleep,
        .xCurrentTime = current_time, .xGetLastError = last_error, .xCurrentTimeInt64 = current_time64,
    };
    return sqlite3_vfs_register(&vfs, 1);
}
int sqlite3_os_end(void) { return SQLITE_OK; }
