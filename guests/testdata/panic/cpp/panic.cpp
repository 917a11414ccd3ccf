// Fails at what it asserts, and where memory ends.
#include <cassert>
#include <vector>

#include "lockstep.hpp"

struct faulty : lockstep::machine {
    std::vector<std::string> all;
    lockstep::answer apply(lockstep::request &q) override {
        if (q.op() == "fill")
            for (;;) all.push_back(std::string(1 << 20, 'x'));
        assert(q.op() == "nothing");
        return lockstep::writer().null();
    }
};
LOCKSTEP_MACHINE(faulty)
