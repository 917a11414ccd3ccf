// lockstep.hpp is the Lockstep SDK for C++: a machine is a class that derives from
// lockstep::machine, and one line that makes it the guest's.
//
//     #include "lockstep.hpp"
//
//     struct counter : lockstep::machine {
//         int64_t n = 0;
//         lockstep::answer apply(lockstep::request &q) override {   // ["add", 2]
//             if (q.op() != "add") return lockstep::unknown();
//             auto d = q.integer();
//             if (!q.end(1)) return lockstep::malformed();
//             return lockstep::writer().integer(n += d);            // or reject(17, "why")
//         }
//     };
//     LOCKSTEP_MACHINE(counter)
//
// Build it with -fno-exceptions and lockstep.h's folder in the include path. An
// input that is rejected or traps leaves no trace: there is nothing to undo.
#pragma once

#include <new>
#include <string>
#include <string_view>

#include "lockstep.h"

namespace lockstep {

// writer collects items of CBOR.
class writer {
    std::string bytes_;
    writer &head(int major, uint64_t n) {
        int size = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000 ? 4 : 8;
        bytes_ += char(major << 5 | (size == 0 ? n : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27));
        while (size--) bytes_ += char(n >> 8 * size);
        return *this;
    }

public:
    writer &integer(int64_t n) { return n < 0 ? head(1, ~uint64_t(n)) : head(0, n); }
    writer &text(std::string_view s) { return head(3, s.size()), bytes_ += s, *this; }
    writer &data(std::string_view b) { return head(2, b.size()), bytes_ += b, *this; }
    writer &array(size_t n) { return head(4, n); } // of the next n items
    writer &boolean(bool b) { return bytes_ += b ? '\xf5' : '\xf4', *this; }
    writer &null() { return bytes_ += '\xf6', *this; }
    const std::string &bytes() const { return bytes_; }
};

// answer is what an input gives: an output with code 0, or a rejection.
struct answer {
    uint32_t code;
    std::string output;
    answer(const writer &w) : code(0), output(w.bytes()) {}
    answer(uint32_t code, std::string_view why) : code(code), output(why) {}
};
inline answer reject(uint32_t code, std::string_view why) { return answer(code, why); } // codes from 17
inline answer malformed() { return answer(16, "malformed request"); }
inline answer unknown() { return answer(16, "unknown operation"); }

// reader reads items. One that is not what is asked for makes it bad, and what
// it reads from then on is 0.
class reader {
protected:
    ls_request r_;

public:
    explicit reader(std::string_view from) : r_(ls_reader({from.data(), from.size()})) {}
    explicit reader(ls_request r) : r_(r) {}
    int64_t integer() { return ls_int(&r_); }
    std::string_view text() {
        auto t = ls_read_text(&r_);
        return {t.at, t.size};
    }
    std::string_view data() {
        auto t = ls_read_data(&r_);
        return {t.at, t.size};
    }
    size_t array() { return ls_read_array(&r_); }
    bool bad() const { return r_.bad; }
    bool done() const { return ls_end(&r_); }
};

// request is an array of the name of an operation and its arguments.
class request : public reader {
public:
    request() : reader(ls_read_request()) {}
    std::string_view op() const { return {r_.op.at, r_.op.size}; }
    // end tells whether there were so many arguments, and all as they were asked for.
    bool end(size_t args) const { return ls_args(&r_, args) && done(); }
};

// machine is a replicated state machine. All of the guest's memory is its state.
struct machine {
    virtual answer apply(request &) = 0;                 // runs one input
    virtual answer query(request &) { return unknown(); } // answers a read; what it changes is undone
    virtual answer invariant() { return writer(); }      // or why the state is not as it must be: asked at audits, and in tests
    virtual void init() {}                               // is run once, when the machine is deployed
    virtual void timer(int64_t) {}                       // is run when a timer that set_timer set is due
    virtual answer save() { return unknown(); }          // writes the state, for a new build after an upgrade
    virtual bool load(reader &) { return false; }
};

// What a machine may know and do besides answering.
inline int64_t time() { return ls_time(); } // ordered, nanoseconds since 1970 UTC
inline uint64_t seq() { return ls_seq(); }
inline void emit(const writer &event) { ls_emit(event.bytes().data(), event.bytes().size()); }
inline void set_timer(int64_t id, int64_t at) { ls_set_timer(id, at); } // at 0 cancels
inline void log(std::string_view line) { ls_log(line.data(), line.size()); }
inline std::string caller() {
    std::string id(32, '\0');
    ls_caller(reinterpret_cast<uint8_t *>(id.data()));
    return id;
}

inline uint32_t finish(const answer &a) {
    ls_output_write(a.output.data(), a.output.size());
    return a.code;
}

} // namespace lockstep

// LOCKSTEP_MACHINE makes a class the guest's machine. Without exceptions, new
// answers null where memory is short; the handler makes that a trap, as it must be.
#define LOCKSTEP_MACHINE(type)                                                          \
    static type &lockstep_machine() {                                                   \
        static type m;                                                                  \
        return m;                                                                       \
    }                                                                                   \
    __attribute__((constructor)) static void lockstep_handler() {                       \
        std::set_new_handler([] { ls_trap("out of memory"); });                         \
    }                                                                                   \
    LS_EXPORT(apply) uint32_t lockstep_apply() {                                        \
        lockstep::request q;                                                            \
        return lockstep::finish(q.bad() ? lockstep::malformed() : lockstep_machine().apply(q)); \
    }                                                                                   \
    LS_EXPORT(query) uint32_t lockstep_query() {                                        \
        lockstep::request q;                                                            \
        return lockstep::finish(q.bad() ? lockstep::malformed() : lockstep_machine().query(q)); \
    }                                                                                   \
    LS_EXPORT(invariant) uint32_t lockstep_invariant() { return lockstep::finish(lockstep_machine().invariant()); } \
    LS_EXPORT(init) uint32_t lockstep_init() { return lockstep_machine().init(), 0; }   \
    LS_EXPORT(timer) uint32_t lockstep_timer() { return lockstep_machine().timer(ls_timer_id()), 0; } \
    LS_EXPORT(save) uint32_t lockstep_save() { return lockstep::finish(lockstep_machine().save()); } \
    LS_EXPORT(load) uint32_t lockstep_load() {                                          \
        lockstep::reader r(ls_reader(ls_input()));                                      \
        return lockstep_machine().load(r) ? 0 : LS_MALFORMED;                           \
    }
