// Naive recursion: nothing but calls.
static unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

__attribute__((export_name("run"))) unsigned run(unsigned n) {
  volatile unsigned depth = 24;
  unsigned sum = 0;
  for (unsigned i = 0; i < n; i++) sum += fib(depth);
  return sum;
}
