// A guest that divides by what its input begins with, behind code that the rewriting changes.
__attribute__((import_module("lockstep_v1"), import_name("input_read"))) int input_read(void *to, int n, int offset);

static volatile double sum;

__attribute__((noinline)) static int divide(int of, int by) {
  for (int i = 0; i < of; i++) {
    sum += i / 3.0;
  }
  return of /
         by; // the division is told to be on the line before
}

__attribute__((export_name("lockstep_apply"))) int apply(void) {
  char first = 0;
  input_read(&first, 1, 0);
  sum = 0;
  int q = divide(100, first);
  return q == 0;
}
