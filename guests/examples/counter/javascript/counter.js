// A counter: ["add", n] adds, ["get"] asks.
const LIMIT = Number.MAX_SAFE_INTEGER;
let count = 0;

register({
  apply(request, ctx) {
    if (request[0] !== "add") throw unknown();
    const [n] = args(request, "int");
    if (n < -LIMIT || n > LIMIT || Math.abs(count + n) > LIMIT) throw reject(17, "out of range");
    count += n;
    ctx.emit(["changed", count]);
    return count;
  },

  query(request) {
    if (request[0] !== "get") throw unknown();
    args(request);
    return count;
  },

  // The saved state is the same in all languages, so that any may take over.
  save: () => count,
  load(saved) { count = saved; },
});
