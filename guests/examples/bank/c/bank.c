// A bank: accounts that are opened, and money that comes in, moves and goes out.
// Its invariant is that the accounts hold what came in and did not go out; ["invariant"] asks a client's way.
#include "lockstep.h"

enum { EXISTS = 17, NO_ACCOUNT = 18, INSUFFICIENT = 19, BAD_AMOUNT = 20, NOT_CONSERVED = 21, MAX_NAME = 64 };
#define LIMIT ((1LL << 53) - 1) // of all money together

typedef struct {
    ls_text name;
    int64_t balance;
} account;

static account *accounts; // ascending by name
static size_t count, room;
static int64_t money; // that came in and did not go out

static int compare(ls_text a, ls_text b) {
    int c = memcmp(a.at, b.at, a.size < b.size ? a.size : b.size);
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

// find returns the first place whose name is not below the given one.
static size_t find(ls_text name) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(accounts[mid].name, name) < 0) low = mid + 1;
        else high = mid;
    }
    return low;
}

static account *named(ls_text name) {
    size_t i = find(name);
    return i < count && ls_same(accounts[i].name, name) ? &accounts[i] : NULL;
}

static void insert(ls_text name, int64_t balance) {
    size_t i = find(name);
    if (count == room) {
        room = 2 * room + 16;
        accounts = realloc(accounts, room * sizeof *accounts);
    }
    char *at = malloc(name.size + 1);
    if (!at || !accounts) ls_trap("out of memory");
    memcpy(at, name.at, name.size);
    memmove(accounts + i + 1, accounts + i, (count++ - i) * sizeof *accounts);
    accounts[i].name.at = at, accounts[i].name.size = name.size, accounts[i].balance = balance;
}

static uint32_t no_account(void) { return ls_reject(NO_ACCOUNT, "no such account"); }
static uint32_t bad_amount(void) { return ls_reject(BAD_AMOUNT, "amount is not in range"); }
static uint32_t insufficient(void) { return ls_reject(INSUFFICIENT, "insufficient funds"); }

static uint32_t open_account(ls_request *q) {
    ls_text name = ls_read_text(q);
    if (!ls_args(q, 1) || !ls_end(q) || name.size == 0 || name.size > MAX_NAME) return ls_malformed();
    if (named(name)) return ls_reject(EXISTS, "account exists");
    insert(name, 0);
    ls_write_null();
    return 0;
}

// change deposits with sign 1, and withdraws with -1.
static uint32_t change(ls_request *q, int sign) {
    account *a = named(ls_read_text(q));
    int64_t amount = ls_int(q);
    if (!ls_args(q, 2) || !ls_end(q)) return ls_malformed();
    if (!a) return no_account();
    if (amount < 1 || amount > LIMIT || (sign > 0 && money + amount > LIMIT)) return bad_amount();
    if (sign < 0 && a->balance < amount) return insufficient();
    a->balance += sign * amount;
    money += sign * amount;
    ls_write_int(a->balance);
    return 0;
}

static uint32_t transfer(ls_request *q) {
    ls_text from_name = ls_read_text(q), to_name = ls_read_text(q);
    int64_t amount = ls_int(q);
    if (!ls_args(q, 3) || !ls_end(q)) return ls_malformed();
    account *from = named(from_name), *to = named(to_name);
    if (!from || !to) return no_account();
    if (amount < 1 || amount > LIMIT) return bad_amount();
    if (from->balance < amount) return insufficient();
    from->balance -= amount;
    to->balance += amount;
    ls_writer event = {0};
    ls_put_array(&event, 4);
    ls_put_text(&event, ls_str("transferred"));
    ls_put_text(&event, from_name);
    ls_put_text(&event, to_name);
    ls_put_int(&event, amount);
    ls_emit_items(&event);
    free(event.at);
    ls_write_null();
    return 0;
}

LS_EXPORT(apply) uint32_t apply(void) {
    ls_request q = ls_read_request();
    if (q.bad) return ls_malformed();
    if (ls_op(&q, "open")) return open_account(&q);
    if (ls_op(&q, "deposit")) return change(&q, 1);
    if (ls_op(&q, "withdraw")) return change(&q, -1);
    if (ls_op(&q, "transfer")) return transfer(&q);
    return ls_unknown();
}

static int64_t sum(void) {
    int64_t all = 0;
    for (size_t i = 0; i < count; i++) all += accounts[i].balance;
    return all;
}

LS_EXPORT(query) uint32_t query(void) {
    ls_request q = ls_read_request();
    if (q.bad) return ls_malformed();
    if (ls_op(&q, "balance")) {
        account *a = named(ls_read_text(&q));
        if (!ls_args(&q, 1) || !ls_end(&q)) return ls_malformed();
        if (!a) return no_account();
        ls_write_int(a->balance);
        return 0;
    }
    bool total = ls_op(&q, "total");
    if (!total && !ls_op(&q, "invariant")) return ls_unknown();
    if (!ls_args(&q, 0) || !ls_end(&q)) return ls_malformed();
    if (total) ls_write_int(sum());
    else ls_write_bool(sum() == money);
    return 0;
}

LS_EXPORT(invariant) uint32_t invariant(void) { return sum() == money ? 0 : ls_reject(NOT_CONSERVED, "money is not conserved"); }

// The saved state is [money, [[name, balance], …]], the same in all languages.
LS_EXPORT(save) uint32_t save(void) {
    ls_writer w = {0};
    ls_put_array(&w, 2);
    ls_put_int(&w, money);
    ls_put_array(&w, count);
    for (size_t i = 0; i < count; i++) {
        ls_put_array(&w, 2);
        ls_put_text(&w, accounts[i].name);
        ls_put_int(&w, accounts[i].balance);
    }
    ls_answer(&w);
    return 0;
}

LS_EXPORT(load) uint32_t load(void) {
    ls_request r = ls_reader(ls_input());
    r.bad |= ls_read_array(&r) != 2;
    money = ls_int(&r);
    for (size_t n = ls_read_array(&r); n-- && !r.bad;) {
        r.bad |= ls_read_array(&r) != 2;
        ls_text name = ls_read_text(&r);
        int64_t balance = ls_int(&r);
        if (!r.bad) insert(name, balance);
    }
    return ls_end(&r) ? 0 : ls_malformed();
}
