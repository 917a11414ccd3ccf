// Product of two 96 x 96 matrices of doubles.
enum { side = 96 };
static double a[side][side], b[side][side], c[side][side];

__attribute__((noinline)) static void product(void) {
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++) {
      double s = 0;
      for (int k = 0; k < side; k++) s += a[i][k] * b[k][j];
      c[i][j] = s;
    }
}

__attribute__((export_name("run"))) unsigned run(unsigned n) {
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++) a[i][j] = i - j * 0.5, b[i][j] = 1.0 / (1 + i + j);
  while (n--) product();
  return (unsigned)(int)(c[3][5] * 1000);
}
