// An ordered map from text to text: an array that is sorted by key.
const MAX_KEY = 1024, MAX_VALUE = 65536, MAX_RANGE = 1000;
let entries = []; // [key, value], ascending

// find returns the first place whose key is not below the given one.
function find(key) {
  let low = 0, high = entries.length;
  while (low < high) {
    const mid = low + high >> 1;
    if (compare(entries[mid][0], key) < 0) low = mid + 1;
    else high = mid;
  }
  return low;
}

const has = (i, key) => i < entries.length && entries[i][0] === key;

register({
  apply(request) {
    switch (request[0]) {
      case "put": {
        const [key, value] = args(request, "text", "text");
        if (byteLength(key) > MAX_KEY || byteLength(value) > MAX_VALUE) throw reject(17, "key or value too large");
        const i = find(key);
        if (has(i, key)) entries[i][1] = value;
        else entries.splice(i, 0, [key, value]);
        return null;
      }
      case "delete": {
        const [key] = args(request, "text");
        const i = find(key);
        if (!has(i, key)) return false;
        entries.splice(i, 1);
        return true;
      }
    }
    throw unknown();
  },

  query(request) {
    switch (request[0]) {
      case "get": {
        const [key] = args(request, "text");
        const i = find(key);
        return has(i, key) ? entries[i][1] : null;
      }
      case "range": {
        const [from, to, limit] = args(request, "text", "text", "int");
        if (limit < 1 || limit > MAX_RANGE) throw malformed();
        const i = find(from), end = to === "" ? entries.length : find(to);
        return entries.slice(i, Math.min(end, i + limit));
      }
      case "count":
        args(request);
        return entries.length;
    }
    throw unknown();
  },

  // The saved state is all of the map, the same in all languages.
  save: () => entries,
  load(saved) { entries = saved; },
});
