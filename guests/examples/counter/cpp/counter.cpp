// A counter: ["add", n] adds, ["get"] asks.
#include "lockstep.hpp"

using namespace lockstep;

constexpr int64_t limit = (1LL << 53) - 1; // what every language can count to, JavaScript too

struct counter : machine {
    int64_t n = 0;

    answer apply(request &q) override {
        if (q.op() != "add") return unknown();
        auto d = q.integer();
        if (!q.end(1)) return malformed();
        if (d < -limit || d > limit || n + d < -limit || n + d > limit) return reject(17, "out of range");
        n += d;
        emit(writer().array(2).text("changed").integer(n));
        return writer().integer(n);
    }

    answer query(request &q) override {
        if (q.op() != "get") return unknown();
        return q.end(0) ? answer(writer().integer(n)) : malformed();
    }

    // The saved state is the same in all languages, so that any may take over.
    answer save() override { return writer().integer(n); }
    bool load(reader &r) override { return n = r.integer(), r.done(); }
};

LOCKSTEP_MACHINE(counter)
