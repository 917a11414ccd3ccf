//! A counter: ["add", n] adds, ["get"] asks.
const lockstep = @import("lockstep");
pub const panic = lockstep.panic;

const limit = (1 << 53) - 1; // what every language can count to, JavaScript too

const Counter = struct {
    n: i64 = 0,

    pub fn apply(self: *Counter, q: *lockstep.Request) lockstep.Answer {
        if (!q.is("add")) return lockstep.unknown;
        const d = q.int();
        if (!q.end(1)) return lockstep.malformed;
        if (d < -limit or d > limit or self.n + d < -limit or self.n + d > limit) return lockstep.reject(17, "out of range");
        self.n += d;
        lockstep.emit(lockstep.Writer.init().array(2).text("changed").int(self.n));
        return self.save();
    }

    pub fn query(self: *Counter, q: *lockstep.Request) lockstep.Answer {
        if (!q.is("get")) return lockstep.unknown;
        return if (q.end(0)) self.save() else lockstep.malformed;
    }

    // The saved state is the same in all languages, so that any may take over.
    pub fn save(self: *Counter) lockstep.Answer {
        return lockstep.Writer.init().int(self.n).answer();
    }
    pub fn load(self: *Counter, r: *lockstep.Reader) bool {
        self.n = r.int();
        return r.done();
    }
};

comptime {
    lockstep.machine(Counter);
}
