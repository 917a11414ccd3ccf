// A bank: accounts that are opened, and money that comes in, moves and goes out.
// Its invariant is that the accounts hold what came in and did not go out; ["invariant"] asks a client's way.
#include <map>

#include "lockstep.hpp"

using namespace lockstep;

constexpr int64_t limit = (1LL << 53) - 1; // of all money together
constexpr size_t max_name = 64;

static answer no_account() { return reject(18, "no such account"); }
static answer bad_amount() { return reject(20, "amount is not in range"); }
static answer insufficient() { return reject(19, "insufficient funds"); }

struct bank : machine {
    std::map<std::string, int64_t, std::less<>> accounts;
    int64_t money = 0; // that came in and did not go out

    answer apply(request &q) override {
        if (q.op() == "open") return open(q);
        if (q.op() == "deposit") return change(q, 1);
        if (q.op() == "withdraw") return change(q, -1);
        if (q.op() == "transfer") return transfer(q);
        return unknown();
    }

    answer open(request &q) {
        auto name = q.text();
        if (!q.end(1) || name.empty() || name.size() > max_name) return malformed();
        if (!accounts.emplace(name, 0).second) return reject(17, "account exists");
        return writer().null();
    }

    // change deposits with sign 1, and withdraws with -1.
    answer change(request &q, int sign) {
        auto name = q.text();
        auto amount = q.integer();
        if (!q.end(2)) return malformed();
        auto a = accounts.find(name);
        if (a == accounts.end()) return no_account();
        if (amount < 1 || amount > limit || (sign > 0 && money + amount > limit)) return bad_amount();
        if (sign < 0 && a->second < amount) return insufficient();
        a->second += sign * amount;
        money += sign * amount;
        return writer().integer(a->second);
    }

    answer transfer(request &q) {
        auto from_name = q.text(), to_name = q.text();
        auto amount = q.integer();
        if (!q.end(3)) return malformed();
        auto from = accounts.find(from_name), to = accounts.find(to_name);
        if (from == accounts.end() || to == accounts.end()) return no_account();
        if (amount < 1 || amount > limit) return bad_amount();
        if (from->second < amount) return insufficient();
        from->second -= amount;
        to->second += amount;
        emit(writer().array(4).text("transferred").text(from_name).text(to_name).integer(amount));
        return writer().null();
    }

    answer query(request &q) override {
        if (q.op() == "balance") {
            auto name = q.text();
            if (!q.end(1)) return malformed();
            auto a = accounts.find(name);
            return a == accounts.end() ? no_account() : answer(writer().integer(a->second));
        }
        if (q.op() != "total" && q.op() != "invariant") return unknown();
        if (!q.end(0)) return malformed();
        return q.op() == "total" ? writer().integer(total()) : writer().boolean(total() == money);
    }

    int64_t total() {
        int64_t sum = 0;
        for (auto &a : accounts) sum += a.second;
        return sum;
    }

    answer invariant() override { return total() == money ? answer(writer()) : reject(21, "money is not conserved"); }

    // The saved state is [money, [[name, balance], …]], the same in all languages.
    answer save() override {
        writer w;
        w.array(2).integer(money).array(accounts.size());
        for (auto &a : accounts) w.array(2).text(a.first).integer(a.second);
        return w;
    }
    bool load(reader &r) override {
        if (r.array() != 2) return false;
        money = r.integer();
        for (auto n = r.array(); n-- && !r.bad();) {
            if (r.array() != 2) return false;
            auto name = r.text();
            accounts.emplace(name, r.integer());
        }
        return r.done();
    }
};

LOCKSTEP_MACHINE(bank)
