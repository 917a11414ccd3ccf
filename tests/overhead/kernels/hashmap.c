// Open addressing: insert, look up, delete.
typedef unsigned u32;
typedef unsigned long long u64;
enum { size = 1 << 15 };
static u64 keys[size], values[size];

static u32 slot(u64 key) {
  u32 i = (u32)(key * 0x9e3779b97f4a7c15ull >> 49);
  while (keys[i] != 0 && keys[i] != key) i = (i + 1) & (size - 1);
  return i;
}

__attribute__((noinline)) static void put(u64 key, u64 value) {
  u32 i = slot(key);
  keys[i] = key;
  values[i] = value;
}

__attribute__((noinline)) static u64 get(u64 key) { return values[slot(key)]; }

__attribute__((export_name("run"))) u32 run(u32 n) {
  u64 sum = 0, x = 88172645463325252ull;
  while (n--) {
    for (u32 i = 0; i < size; i++) keys[i] = 0, values[i] = 0;
    for (u32 i = 0; i < size / 2; i++) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      put(x | 1, i);
      sum += get((x | 1) ^ (i & 2));
    }
  }
  return (u32)sum;
}
