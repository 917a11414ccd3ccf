// Quicksort with insertion sort below 16, over 20,000 numbers.
typedef unsigned u32;
enum { size = 20000 };
static u32 a[size];

static void sort(u32 *lo, u32 *hi) {
  while (hi - lo > 16) {
    u32 pivot = lo[(hi - lo) / 2], *i = lo, *j = hi - 1;
    for (;; i++, j--) {
      while (*i < pivot) i++;
      while (*j > pivot) j--;
      if (i >= j) break;
      u32 t = *i;
      *i = *j, *j = t;
    }
    if (j + 1 - lo < hi - j - 1) {
      sort(lo, j + 1);
      lo = j + 1;
    } else {
      sort(j + 1, hi);
      hi = j + 1;
    }
  }
  for (u32 *i = lo + 1; i < hi; i++) {
    u32 v = *i, *j = i;
    for (; j > lo && j[-1] > v; j--) *j = j[-1];
    *j = v;
  }
}

__attribute__((export_name("run"))) u32 run(u32 n) {
  u32 x = 1, sum = 0;
  while (n--) {
    for (u32 i = 0; i < size; i++) a[i] = x = x * 1664525 + 1013904223;
    sort(a, a + size);
    for (u32 i = 1; i < size; i++) sum += a[i - 1] > a[i];
  }
  return sum;
}
