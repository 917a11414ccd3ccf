//! A bank: accounts that are opened, and money that comes in, moves and goes out.
//! Its invariant is that the accounts hold what came in and did not go out; ["invariant"] asks a client's way.
const std = @import("std");
const lockstep = @import("lockstep");
pub const panic = lockstep.panic;

const limit = (1 << 53) - 1; // of all money together
const max_name = 64;

const no_account = lockstep.reject(18, "no such account");
const bad_amount = lockstep.reject(20, "amount is not in range");
const insufficient = lockstep.reject(19, "insufficient funds");

const Account = struct { name: []const u8, balance: i64 };

const Bank = struct {
    accounts: std.ArrayListUnmanaged(Account) = .{}, // ascending by name
    money: i64 = 0, // that came in and did not go out

    /// The first place whose name is not below the given one.
    fn find(self: *Bank, name: []const u8) usize {
        var low: usize = 0;
        var high = self.accounts.items.len;
        while (low < high) {
            const mid = low + (high - low) / 2;
            if (std.mem.lessThan(u8, self.accounts.items[mid].name, name)) low = mid + 1 else high = mid;
        }
        return low;
    }
    fn named(self: *Bank, name: []const u8) ?*Account {
        const i = self.find(name);
        if (i == self.accounts.items.len or !std.mem.eql(u8, self.accounts.items[i].name, name)) return null;
        return &self.accounts.items[i];
    }
    fn insert(self: *Bank, name: []const u8, balance: i64) void {
        const own = lockstep.state.dupe(u8, name) catch @panic("out of memory");
        self.accounts.insert(lockstep.state, self.find(name), .{ .name = own, .balance = balance }) catch @panic("out of memory");
    }

    pub fn apply(self: *Bank, q: *lockstep.Request) lockstep.Answer {
        if (q.is("open")) return self.open(q);
        if (q.is("deposit")) return self.change(q, 1);
        if (q.is("withdraw")) return self.change(q, -1);
        if (q.is("transfer")) return self.transfer(q);
        return lockstep.unknown;
    }

    fn open(self: *Bank, q: *lockstep.Request) lockstep.Answer {
        const name = q.text();
        if (!q.end(1) or name.len == 0 or name.len > max_name) return lockstep.malformed;
        if (self.named(name) != null) return lockstep.reject(17, "account exists");
        self.insert(name, 0);
        return lockstep.Writer.init().null_().answer();
    }

    /// Deposits with sign 1, and withdraws with -1.
    fn change(self: *Bank, q: *lockstep.Request, sign: i64) lockstep.Answer {
        const name = q.text();
        const amount = q.int();
        if (!q.end(2)) return lockstep.malformed;
        const a = self.named(name) orelse return no_account;
        if (amount < 1 or amount > limit or (sign > 0 and self.money + amount > limit)) return bad_amount;
        if (sign < 0 and a.balance < amount) return insufficient;
        a.balance += sign * amount;
        self.money += sign * amount;
        return lockstep.Writer.init().int(a.balance).answer();
    }

    fn transfer(self: *Bank, q: *lockstep.Request) lockstep.Answer {
        const from_name = q.text();
        const to_name = q.text();
        const amount = q.int();
        if (!q.end(3)) return lockstep.malformed;
        const from = self.named(from_name) orelse return no_account;
        const to = self.named(to_name) orelse return no_account;
        if (amount < 1 or amount > limit) return bad_amount;
        if (from.balance < amount) return insufficient;
        from.balance -= amount;
        to.balance += amount;
        lockstep.emit(lockstep.Writer.init().array(4).text("transferred").text(from_name).text(to_name).int(amount));
        return lockstep.Writer.init().null_().answer();
    }

    pub fn query(self: *Bank, q: *lockstep.Request) lockstep.Answer {
        const w = lockstep.Writer.init();
        if (q.is("balance")) {
            const name = q.text();
            if (!q.end(1)) return lockstep.malformed;
            const a = self.named(name) orelse return no_account;
            return w.int(a.balance).answer();
        }
        if (!q.is("total") and !q.is("invariant")) return lockstep.unknown;
        if (!q.end(0)) return lockstep.malformed;
        return if (q.is("total")) w.int(self.total()).answer() else w.boolean(self.total() == self.money).answer();
    }

    fn total(self: *Bank) i64 {
        var sum: i64 = 0;
        for (self.accounts.items) |a| sum += a.balance;
        return sum;
    }

    pub fn invariant(self: *Bank) lockstep.Answer {
        return if (self.total() == self.money) .{} else lockstep.reject(21, "money is not conserved");
    }

    // The saved state is [money, [[name, balance], …]], the same in all languages.
    pub fn save(self: *Bank) lockstep.Answer {
        var w = lockstep.Writer.init().array(2).int(self.money).array(self.accounts.items.len);
        for (self.accounts.items) |a| w = w.array(2).text(a.name).int(a.balance);
        return w.answer();
    }
    pub fn load(self: *Bank, r: *lockstep.Reader) bool {
        if (r.array() != 2) return false;
        self.money = r.int();
        var n = r.array();
        while (n > 0 and !r.bad) : (n -= 1) {
            if (r.array() != 2) return false;
            const name = r.text();
            self.insert(name, r.int());
        }
        return r.done();
    }
};

comptime {
    lockstep.machine(Bank);
}
