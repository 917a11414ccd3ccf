//! An ordered map from text to text: a list that is sorted by key.
const std = @import("std");
const lockstep = @import("lockstep");
pub const panic = lockstep.panic;

const max_key = 1024;
const max_value = 65536;
const max_range = 1000;

const Entry = struct { key: []const u8, value: []const u8 };

fn copy(s: []const u8) []const u8 {
    return lockstep.state.dupe(u8, s) catch @panic("out of memory");
}

const Kv = struct {
    entries: std.ArrayListUnmanaged(Entry) = .{},

    /// The first place whose key is not below the given one.
    fn find(self: *Kv, key: []const u8) usize {
        var low: usize = 0;
        var high = self.entries.items.len;
        while (low < high) {
            const mid = low + (high - low) / 2;
            if (std.mem.lessThan(u8, self.entries.items[mid].key, key)) low = mid + 1 else high = mid;
        }
        return low;
    }
    fn has(self: *Kv, i: usize, key: []const u8) bool {
        return i < self.entries.items.len and std.mem.eql(u8, self.entries.items[i].key, key);
    }
    fn put(self: *Kv, key: []const u8, value: []const u8) void {
        const i = self.find(key);
        if (self.has(i, key)) {
            lockstep.state.free(self.entries.items[i].value);
            self.entries.items[i].value = copy(value);
            return;
        }
        self.entries.insert(lockstep.state, i, .{ .key = copy(key), .value = copy(value) }) catch @panic("out of memory");
    }
    fn delete(self: *Kv, key: []const u8) bool {
        const i = self.find(key);
        if (!self.has(i, key)) return false;
        const gone = self.entries.orderedRemove(i);
        lockstep.state.free(gone.key);
        lockstep.state.free(gone.value);
        return true;
    }

    pub fn apply(self: *Kv, q: *lockstep.Request) lockstep.Answer {
        if (q.is("put")) {
            const key = q.text();
            const value = q.text();
            if (!q.end(2)) return lockstep.malformed;
            if (key.len > max_key or value.len > max_value) return lockstep.reject(17, "key or value too large");
            self.put(key, value);
            return lockstep.Writer.init().null_().answer();
        }
        if (q.is("delete")) {
            const key = q.text();
            if (!q.end(1)) return lockstep.malformed;
            return lockstep.Writer.init().boolean(self.delete(key)).answer();
        }
        return lockstep.unknown;
    }

    pub fn query(self: *Kv, q: *lockstep.Request) lockstep.Answer {
        const w = lockstep.Writer.init();
        if (q.is("get")) {
            const key = q.text();
            if (!q.end(1)) return lockstep.malformed;
            const i = self.find(key);
            return if (self.has(i, key)) w.text(self.entries.items[i].value).answer() else w.null_().answer();
        }
        if (q.is("range")) {
            const from = q.text();
            const to = q.text();
            const limit = q.int();
            if (!q.end(3) or limit < 1 or limit > max_range) return lockstep.malformed;
            const i = self.find(from);
            const end = if (to.len > 0) self.find(to) else self.entries.items.len;
            return write(self.entries.items[i..@max(i, @min(end, i + @as(usize, @intCast(limit))))]);
        }
        if (q.is("count")) return if (q.end(0)) w.int(@intCast(self.entries.items.len)).answer() else lockstep.malformed;
        return lockstep.unknown;
    }

    fn write(entries: []const Entry) lockstep.Answer {
        var w = lockstep.Writer.init().array(entries.len);
        for (entries) |e| w = w.array(2).text(e.key).text(e.value);
        return w.answer();
    }

    // The saved state is all of the map, the same in all languages.
    pub fn save(self: *Kv) lockstep.Answer {
        return write(self.entries.items);
    }
    pub fn load(self: *Kv, r: *lockstep.Reader) bool {
        var n = r.array();
        while (n > 0 and !r.bad) : (n -= 1) {
            if (r.array() != 2) return false;
            const key = r.text();
            self.put(key, r.text());
        }
        return r.done();
    }
};

comptime {
    lockstep.machine(Kv);
}
