// In the manner of CoreMark: a linked list, a small matrix, a state machine and a CRC.
typedef unsigned short u16;
typedef unsigned u32;
struct node { struct node *next; u16 key, value; };
enum { nodes = 200, side = 12 };
static struct node pool[nodes];
static u16 ma[side * side], mb[side * side];
static u32 mc[side * side];
static const char input[] = "5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^";

static u16 crc8(unsigned char data, u16 crc) {
  for (int i = 0; i < 8; i++) {
    int bit = (data ^ crc) & 1;
    crc >>= 1, data >>= 1;
    if (bit) crc ^= 0xa001;
  }
  return crc;
}
__attribute__((noinline)) static u16 crc16(u16 v, u16 crc) { return crc8(v >> 8, crc8((unsigned char)v, crc)); }

__attribute__((noinline)) static struct node *reverse(struct node *l) {
  struct node *r = 0;
  while (l) {
    struct node *next = l->next;
    l->next = r, r = l, l = next;
  }
  return r;
}
__attribute__((noinline)) static struct node *find(struct node *l, u16 key) {
  while (l && l->key != key) l = l->next;
  return l;
}
__attribute__((noinline)) static u16 matrix(u16 seed) {
  for (int i = 0; i < side * side; i++) ma[i] = (u16)(i * seed + 1), mb[i] = (u16)(ma[i] + i);
  u16 crc = 0;
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++) {
      u32 s = 0;
      for (int k = 0; k < side; k++) s += (u32)ma[i * side + k] * mb[k * side + j];
      mc[i * side + j] = s;
    }
  for (int i = 0; i < side * side; i++) crc = crc16((u16)mc[i], crc);
  return crc;
}
__attribute__((noinline)) static u16 states(u32 *counts) {
  int s = 0;
  for (const char *p = input; *p; p++) {
    char c = *p;
    if (c == ',') { counts[s]++, s = 0; continue; }
    int digit = c >= '0' && c <= '9';
    switch (s) {
    case 0: s = digit ? 2 : c == '+' || c == '-' ? 1 : c == '.' ? 3 : 6; break;
    case 1: s = digit ? 2 : c == '.' ? 3 : 6; break;
    case 2: s = digit ? 2 : c == '.' ? 3 : 6; break;
    case 3: s = digit ? 3 : c == 'e' || c == 'E' ? 4 : 6; break;
    case 4: s = c == '+' || c == '-' ? 5 : 6; break;
    case 5: s = digit ? 5 : 6; break;
    }
  }
  return (u16)counts[6];
}

__attribute__((export_name("run"))) u32 run(u32 n) {
  u16 crc = 0;
  u32 counts[7] = {0};
  for (u32 i = 0; i < nodes; i++) pool[i] = (struct node){i + 1 < nodes ? &pool[i + 1] : 0, (u16)(i * 7), (u16)i};
  struct node *l = pool;
  while (n--) {
    for (u16 i = 0; i < 20; i++) {
      l = reverse(l);
      struct node *f = find(l, (u16)(i * 70));
      crc = crc16(f ? f->value : i, crc);
    }
    crc = crc16(matrix((u16)n), crc);
    crc = crc16(states(counts), crc);
  }
  return crc;
}
