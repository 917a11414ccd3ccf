// Scan of a JSON text: depth, strings with escapes, numbers.
typedef unsigned u32;
static const char item[] = "{\"id\":12345,\"name\":\"a \\\"quoted\\\" name\",\"tags\":[\"x\",\"yy\",\"zzz\"],\"price\":-12.5e3,\"ok\":true,\"none\":null},";
static char text[128 * sizeof item];
static u32 length;

static const char *skip_string(const char *p, u32 *hash) {
  for (p++; *p != '"'; p++) {
    if (*p == '\\') p++;
    *hash = *hash * 31 + (unsigned char)*p;
  }
  return p + 1;
}

static const char *number(const char *p, u32 *sum) {
  u32 v = 0;
  if (*p == '-') p++;
  for (; *p >= '0' && *p <= '9'; p++) v = v * 10 + (u32)(*p - '0');
  while (*p == '.' || *p == 'e' || *p == '-' || (*p >= '0' && *p <= '9')) p++;
  *sum += v;
  return p;
}

__attribute__((noinline)) static u32 scan(const char *p, const char *end) {
  u32 depth = 0, hash = 0, sum = 0;
  while (p < end) {
    switch (*p) {
    case '{': case '[': depth++, p++; break;
    case '}': case ']': depth--, p++; break;
    case '"': p = skip_string(p, &hash); break;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': p = number(p, &sum); break;
    case 't': case 'n': p += 4; break;
    case 'f': p += 5; break;
    default: p++;
    }
  }
  return depth + hash + sum;
}

// Digits and letters differ from item to item, so that no branch is learned by heart.
static void fill(void) {
  u32 x = 1;
  for (length = 0; length + sizeof item <= sizeof text;)
    for (u32 i = 0; i < sizeof item - 1; i++) {
      char c = item[i];
      x = x * 1664525 + 1013904223;
      if (c >= '0' && c <= '9') c = '0' + (x >> 24) % 10;
      else if (c >= 'o' && c <= 'z' && item[i + 1] != 'r' && x >> 30 == 0) c = ' ';
      text[length++] = c;
    }
}

__attribute__((export_name("run"))) u32 run(u32 n) {
  fill();
  u32 sum = 0;
  while (n--) {
    text[7 + n % 5] = '0' + n % 10; // another text each time
    sum += scan(text, text + length);
  }
  return sum;
}
