// The spectral norm of a matrix that is computed as it is read.
enum { side = 100 };
static double u[side], v[side], t[side];

static double element(int i, int j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }

__attribute__((noinline)) static void times(const double *x, double *y, int transposed) {
  for (int i = 0; i < side; i++) {
    double s = 0;
    for (int j = 0; j < side; j++) s += (transposed ? element(j, i) : element(i, j)) * x[j];
    y[i] = s;
  }
}

__attribute__((export_name("run"))) unsigned run(unsigned n) {
  double uv = 0, vv = 0;
  for (int i = 0; i < side; i++) u[i] = 1;
  while (n--) {
    times(u, t, 0), times(t, v, 1);
    times(v, t, 0), times(t, u, 1);
    for (int i = 0; i < side; i++) uv += u[i] * v[i], vv += v[i] * v[i];
  }
  return (unsigned)(int)(__builtin_sqrt(uv / vv) * 1e6);
}
