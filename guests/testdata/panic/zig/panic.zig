//! Panics.
const lockstep = @import("lockstep");
pub const panic = lockstep.panic;

const Faulty = struct {
    pub fn apply(_: *Faulty, q: *lockstep.Request) lockstep.Answer {
        if (!q.is("nothing")) @panic("there is no way on");
        return lockstep.unknown;
    }
};

comptime {
    lockstep.machine(Faulty);
}
