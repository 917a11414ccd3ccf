//! The Lockstep SDK for Zig: a machine is a struct, and one line that makes it the
//! guest's.
//!
//!     const lockstep = @import("lockstep");
//!     pub const panic = lockstep.panic; // logs what it says
//!
//!     const Counter = struct {
//!         n: i64 = 0,
//!         pub fn apply(self: *Counter, q: *lockstep.Request) lockstep.Answer {
//!             if (!q.is("add")) return lockstep.unknown;       // ["add", 2]
//!             const d = q.int();
//!             if (!q.end(1)) return lockstep.malformed;
//!             self.n += d;
//!             return lockstep.Writer.init().int(self.n).answer();
//!         }
//!     };
//!
//!     comptime {
//!         lockstep.machine(Counter);
//!     }
//!
//! `query`, `invariant`, `init`, `timer(id)`, `save` and `load(reader)` are optional.
//! `invariant` rejects where the state is not as it must always be: lockstep test asks
//! after each input, replicas at each audit. An input that
//! is rejected or traps leaves no trace: there is nothing to undo. What a call
//! allocates with `lockstep.scratch()` is freed after it.

const std = @import("std");

/// The host functions of the guest contract.
const host = struct {
    extern "lockstep_v1" fn input_size() u32;
    extern "lockstep_v1" fn input_read(into: [*]u8, size: u32, offset: u32) u32;
    extern "lockstep_v1" fn output_write(from: [*]const u8, size: u32) void;
    extern "lockstep_v1" fn time() i64;
    extern "lockstep_v1" fn seq() u64;
    extern "lockstep_v1" fn caller(into: [*]u8) void;
    extern "lockstep_v1" fn random(into: [*]u8, size: u32) void;
    extern "lockstep_v1" fn emit(from: [*]const u8, size: u32) void;
    extern "lockstep_v1" fn set_timer(id: i64, at: i64) void;
    extern "lockstep_v1" fn log(from: [*]const u8, size: u32) void;
};

/// Where bytes are: an empty slice may point anywhere, which the host refuses.
fn at(b: []const u8) [*]const u8 {
    return if (b.len == 0) "" else b.ptr;
}

/// Ordered time in nanoseconds since 1970 UTC, the same on all replicas.
pub fn time() i64 {
    return host.time();
}
/// Position of the input's entry in the log.
pub fn seq() u64 {
    return host.seq();
}
/// The client that asks; zeros for a timer.
pub fn caller() [32]u8 {
    var id: [32]u8 = undefined;
    host.caller(&id);
    return id;
}
/// Bytes that are the same on all replicas and that nobody could know before.
pub fn random(into: []u8) void {
    if (into.len > 0) host.random(into.ptr, into.len);
}
/// Tells whoever subscribes, if the input is accepted.
pub fn emit(event: Writer) void {
    host.emit(at(event.bytes.items), event.bytes.items.len);
}
/// Has timer(id) called at the first entry ordered at or after `due`; 0 cancels.
pub fn setTimer(id: i64, due: i64) void {
    host.set_timer(id, due);
}
/// A line for the operator of a replica; no part of the state.
pub fn log(line: []const u8) void {
    host.log(at(line), line.len);
}

/// What a machine answers: an output with code 0, or a rejection.
pub const Answer = struct { code: u32 = 0, output: []const u8 = "" };

/// A rejection; codes of a machine's own begin at 17.
pub fn reject(code: u32, why: []const u8) Answer {
    return .{ .code = code, .output = why };
}
pub const malformed = Answer{ .code = 16, .output = "malformed request" };
pub const unknown = Answer{ .code = 16, .output = "unknown operation" };

var arena = std.heap.ArenaAllocator.init(std.heap.wasm_allocator);

/// Memory for the state.
pub const state = std.heap.wasm_allocator;

/// Memory for the call.
pub fn scratch() std.mem.Allocator {
    return arena.allocator();
}

/// Writer collects items of CBOR in scratch memory. Where memory is short it traps.
pub const Writer = struct {
    bytes: std.ArrayListUnmanaged(u8) = .{},

    pub fn init() Writer {
        return .{};
    }
    fn put(self: Writer, from: []const u8) Writer {
        var w = self;
        w.bytes.appendSlice(scratch(), from) catch @panic("out of memory");
        return w;
    }
    fn head(self: Writer, major: u8, n: u64) Writer {
        var b: [9]u8 = undefined;
        std.mem.writeIntBig(u64, b[1..], n);
        const size: usize = if (n < 24) 0 else if (n < 0x100) 1 else if (n < 0x10000) 2 else if (n < 0x100000000) 4 else 8;
        b[8 - size] = major << 5 | @as(u8, switch (size) {
            0 => @intCast(n),
            1 => 24,
            2 => 25,
            4 => 26,
            else => 27,
        });
        return self.put(b[8 - size ..]);
    }
    pub fn int(self: Writer, n: i64) Writer {
        return if (n < 0) self.head(1, @bitCast(~n)) else self.head(0, @bitCast(n));
    }
    pub fn text(self: Writer, s: []const u8) Writer {
        return self.head(3, s.len).put(s);
    }
    pub fn data(self: Writer, b: []const u8) Writer {
        return self.head(2, b.len).put(b);
    }
    /// Begins an array of the next n items.
    pub fn array(self: Writer, n: usize) Writer {
        return self.head(4, n);
    }
    pub fn boolean(self: Writer, b: bool) Writer {
        return self.put(if (b) "\xf5" else "\xf4");
    }
    pub fn null_(self: Writer) Writer {
        return self.put("\xf6");
    }
    pub fn answer(self: Writer) Answer {
        return .{ .output = self.bytes.items };
    }
};

/// Reader reads items. One that is not what is asked for makes it bad, and what
/// it reads from then on is 0.
pub const Reader = struct {
    rest: []const u8,
    bad: bool = false,

    const Head = struct { major: u8, n: u64 };

    fn spoil(self: *Reader) Head {
        self.bad = true;
        self.rest = "";
        return .{ .major = 255, .n = 0 };
    }
    fn take(self: *Reader, n: usize) []const u8 {
        const taken = self.rest[0..n];
        self.rest = self.rest[n..];
        return taken;
    }
    fn head(self: *Reader) Head {
        if (self.bad or self.rest.len == 0) return self.spoil();
        const first = self.take(1)[0];
        const info = first & 31;
        if (info < 24) return .{ .major = first >> 5, .n = info };
        if (info > 27) return self.spoil();
        const size = @as(usize, 1) << @intCast(info - 24);
        if (self.rest.len < size) return self.spoil();
        var n: u64 = 0;
        for (self.take(size)) |b| n = n << 8 | b;
        const least = [_]u64{ 24, 0x100, 0x10000, 0x100000000 };
        if (n < least[info - 24]) return self.spoil(); // it has a shorter form
        return .{ .major = first >> 5, .n = n };
    }
    fn want(self: *Reader, major: u8) u64 {
        const h = self.head();
        return if (h.major == major) h.n else self.spoil().n;
    }
    pub fn int(self: *Reader) i64 {
        const h = self.head();
        if (h.major > 1 or h.n > std.math.maxInt(i64)) return @bitCast(self.spoil().n);
        const n: i64 = @bitCast(h.n);
        return if (h.major == 1) ~n else n;
    }
    fn string(self: *Reader, major: u8) []const u8 {
        const n = self.want(major);
        return self.take(@intCast(if (n > self.rest.len) self.spoil().n else n));
    }
    pub fn text(self: *Reader) []const u8 {
        return self.string(3);
    }
    pub fn data(self: *Reader) []const u8 {
        return self.string(2);
    }
    pub fn array(self: *Reader) usize {
        const n = self.want(4);
        return @intCast(if (n > self.rest.len) self.spoil().n else n);
    }
    pub fn done(self: *const Reader) bool {
        return !self.bad and self.rest.len == 0;
    }
};

/// Request is an array of the name of an operation and its arguments.
pub const Request = struct {
    reader: Reader,
    op: []const u8,
    args: usize,

    fn init(from: []const u8) Request {
        var r = Reader{ .rest = from };
        const items = r.array();
        const op = r.text();
        return .{ .reader = r, .op = op, .args = items -% 1 };
    }
    pub fn is(self: *const Request, op: []const u8) bool {
        return std.mem.eql(u8, self.op, op);
    }
    pub fn int(self: *Request) i64 {
        return self.reader.int();
    }
    pub fn text(self: *Request) []const u8 {
        return self.reader.text();
    }
    pub fn data(self: *Request) []const u8 {
        return self.reader.data();
    }
    /// Tells whether there were so many arguments, and all as they were asked for.
    pub fn end(self: *const Request, args: usize) bool {
        return self.args == args and self.reader.done();
    }
};

fn input() []u8 {
    const b = scratch().alloc(u8, host.input_size()) catch @panic("out of memory");
    if (b.len > 0) _ = host.input_read(b.ptr, b.len, 0);
    return b;
}

fn finish(a: Answer) u32 {
    host.output_write(at(a.output), a.output.len);
    _ = arena.reset(.free_all);
    return a.code;
}

/// machine makes a type the guest's machine, by the exports of the contract. Each
/// field of the type needs a default.
pub fn machine(comptime T: type) void {
    const G = struct {
        var self: T = .{};

        fn ask(comptime f: anytype) u32 {
            var q = Request.init(input());
            return finish(if (q.reader.bad) malformed else f(&self, &q));
        }
        fn apply() callconv(.C) u32 {
            return ask(T.apply);
        }
        fn query() callconv(.C) u32 {
            return ask(T.query);
        }
        fn invariant() callconv(.C) u32 {
            return finish(self.invariant());
        }
        fn init_() callconv(.C) u32 {
            return finish(self.init());
        }
        fn timer() callconv(.C) u32 {
            return finish(self.timer(std.mem.readIntLittle(i64, input()[0..8])));
        }
        fn save() callconv(.C) u32 {
            return finish(self.save());
        }
        fn load() callconv(.C) u32 {
            var r = Reader{ .rest = input() };
            return finish(if (self.load(&r)) .{} else malformed);
        }
    };
    @export(G.apply, .{ .name = "lockstep_apply" });
    if (@hasDecl(T, "query")) @export(G.query, .{ .name = "lockstep_query" });
    if (@hasDecl(T, "invariant")) @export(G.invariant, .{ .name = "lockstep_invariant" });
    if (@hasDecl(T, "init")) @export(G.init_, .{ .name = "lockstep_init" });
    if (@hasDecl(T, "timer")) @export(G.timer, .{ .name = "lockstep_timer" });
    if (@hasDecl(T, "save")) @export(G.save, .{ .name = "lockstep_save" });
    if (@hasDecl(T, "load")) @export(G.load, .{ .name = "lockstep_load" });
}

/// A panic is logged, and then a trap.
pub fn panic(message: []const u8, _: ?*std.builtin.StackTrace, _: ?usize) noreturn {
    host.log(at(message), message.len);
    @trap();
}
