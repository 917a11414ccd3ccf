// The sun and four planets, as in the Computer Language Benchmarks Game's task.
struct body { double x, y, z, vx, vy, vz, mass; };
enum { bodies = 5 };
static struct body b[bodies];

static double root(double v) { return __builtin_sqrt(v); }

__attribute__((noinline)) static void advance(double dt) {
  for (int i = 0; i < bodies; i++) {
    for (int j = i + 1; j < bodies; j++) {
      double dx = b[i].x - b[j].x, dy = b[i].y - b[j].y, dz = b[i].z - b[j].z;
      double d2 = dx * dx + dy * dy + dz * dz;
      double mag = dt / (d2 * root(d2));
      b[i].vx -= dx * b[j].mass * mag, b[i].vy -= dy * b[j].mass * mag, b[i].vz -= dz * b[j].mass * mag;
      b[j].vx += dx * b[i].mass * mag, b[j].vy += dy * b[i].mass * mag, b[j].vz += dz * b[i].mass * mag;
    }
  }
  for (int i = 0; i < bodies; i++) b[i].x += dt * b[i].vx, b[i].y += dt * b[i].vy, b[i].z += dt * b[i].vz;
}

__attribute__((export_name("run"))) unsigned run(unsigned n) {
  for (int i = 0; i < bodies; i++)
    b[i] = (struct body){i * 5.2, i * -1.7 + 0.3, i * 0.11, 0.6 - i * 0.2, i * 0.31, -0.02 * i, i ? 0.04 / i : 39.5};
  for (unsigned i = 0; i < n * 2000; i++) advance(0.001);
  return (unsigned)(int)(b[0].x * 1e6);
}
