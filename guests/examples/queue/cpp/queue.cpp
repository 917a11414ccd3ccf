// A queue of work. ["push", item] answers with the item's id; ["take", ms] with [id, item], or null
// where nothing waits. Who took an item has that long to ["ack", id] it; else a timer puts it back, to
// where it was.
#include <map>

#include "lockstep.hpp"

using namespace lockstep;

constexpr size_t max_item = 65536, max_taken = 10000;
constexpr int64_t max_lease = 86400000; // ms

struct work : machine {
    std::map<int64_t, std::string> waiting, taken; // by id
    int64_t last = 0;                              // id

    answer apply(request &q) override {
        if (q.op() == "push") {
            auto item = q.text();
            if (!q.end(1)) return malformed();
            if (item.size() > max_item) return reject(17, "item too large");
            waiting.emplace(++last, item);
            return writer().integer(last);
        }
        if (q.op() == "take") return take(q);
        if (q.op() == "ack") {
            auto id = q.integer();
            if (!q.end(1)) return malformed();
            if (!taken.erase(id)) return reject(18, "not taken, or too late");
            set_timer(id, 0);
            emit(writer().array(2).text("done").integer(id));
            return writer().null();
        }
        return unknown();
    }

    answer take(request &q) {
        auto ms = q.integer();
        if (!q.end(1) || ms < 1 || ms > max_lease) return malformed();
        if (taken.size() == max_taken) return reject(19, "too many items are taken");
        if (waiting.empty()) return writer().null();
        auto node = waiting.extract(waiting.begin());
        set_timer(node.key(), time() + ms * 1000000);
        writer w;
        w.array(2).integer(node.key()).text(node.mapped());
        taken.insert(std::move(node));
        return w;
    }

    void timer(int64_t id) override {
        auto node = taken.extract(id);
        if (!node) return;
        waiting.insert(std::move(node));
        emit(writer().array(2).text("returned").integer(id));
    }

    // ["length"] asks how many items wait and how many are taken.
    answer query(request &q) override {
        if (q.op() != "length") return unknown();
        if (!q.end(0)) return malformed();
        return writer().array(2).integer(waiting.size()).integer(taken.size());
    }

    // [last id, waiting, taken]; the timers stay pending by themselves.
    answer save() override {
        writer w;
        w.array(3).integer(last);
        for (auto *m : {&waiting, &taken}) {
            w.array(m->size());
            for (auto &[id, item] : *m) w.array(2).integer(id).text(item);
        }
        return w;
    }
    bool load(reader &r) override {
        if (r.array() != 3) return false;
        last = r.integer();
        for (auto *m : {&waiting, &taken}) {
            for (auto n = r.array(); n-- && !r.bad();) {
                if (r.array() != 2) return false;
                auto id = r.integer();
                m->emplace(id, r.text());
            }
        }
        return r.done();
    }
};

LOCKSTEP_MACHINE(work)
