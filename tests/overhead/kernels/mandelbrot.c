// The Mandelbrot set on 128 x 128 points, at most 50 steps each.
__attribute__((export_name("run"))) unsigned run(unsigned n) {
  unsigned inside = 0;
  while (n--)
    for (int y = 0; y < 128; y++)
      for (int x = 0; x < 128; x++) {
        double cr = x / 64.0 - 1.5, ci = y / 64.0 - 1.0, zr = 0, zi = 0;
        int i = 0;
        for (; i < 50 && zr * zr + zi * zi < 4; i++) {
          double t = zr * zr - zi * zi + cr;
          zi = 2 * zr * zi + ci, zr = t;
        }
        inside += i == 50;
      }
  return inside;
}
