// An ordered map from text to text.
#include <map>

#include "lockstep.hpp"

using namespace lockstep;

constexpr size_t max_key = 1024, max_value = 65536, max_range = 1000;

struct kv : machine {
    std::map<std::string, std::string, std::less<>> map;

    answer apply(request &q) override {
        if (q.op() == "put") {
            auto key = q.text(), value = q.text();
            if (!q.end(2)) return malformed();
            if (key.size() > max_key || value.size() > max_value) return reject(17, "key or value too large");
            map.insert_or_assign(std::string(key), value);
            return writer().null();
        }
        if (q.op() == "delete") {
            auto key = q.text();
            if (!q.end(1)) return malformed();
            auto at = map.find(key);
            bool existed = at != map.end();
            if (existed) map.erase(at);
            return writer().boolean(existed);
        }
        return unknown();
    }

    answer query(request &q) override {
        if (q.op() == "get") {
            auto key = q.text();
            if (!q.end(1)) return malformed();
            auto at = map.find(key);
            return at == map.end() ? writer().null() : writer().text(at->second);
        }
        if (q.op() == "range") {
            auto from = q.text(), to = q.text();
            auto limit = q.integer();
            if (!q.end(3) || limit < 1 || limit > int64_t(max_range)) return malformed();
            auto at = map.lower_bound(from), end = at;
            size_t n = 0;
            while (end != map.end() && (to.empty() || end->first < to) && n < size_t(limit)) ++end, ++n;
            return write(at, end, n);
        }
        if (q.op() == "count") return q.end(0) ? answer(writer().integer(map.size())) : malformed();
        return unknown();
    }

    template <class iterator> answer write(iterator at, iterator end, size_t n) {
        writer w;
        w.array(n);
        for (; at != end; ++at) w.array(2).text(at->first).text(at->second);
        return w;
    }

    // The saved state is all of the map, the same in all languages.
    answer save() override { return write(map.begin(), map.end(), map.size()); }
    bool load(reader &r) override {
        for (auto n = r.array(); n-- && !r.bad();) {
            if (r.array() != 2) return false;
            auto key = r.text(), value = r.text();
            map.insert_or_assign(std::string(key), value);
        }
        return r.done();
    }
};

LOCKSTEP_MACHINE(kv)
