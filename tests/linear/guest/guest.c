// A guest with the machines whose histories are checked: registers, a key-value store,
// a queue, a bank, and the ordered time as a clock. Its state is an array at a place that a test can find by its first
// eight bytes, to flip a bit in it.
//
// An input is four numbers of 8 bytes, little endian, the operation and its arguments; an output is one number, or
// as many as the operation says.
#include <stdint.h>

#define HOST(name) __attribute__((import_module("lockstep_v1"), import_name(name)))
HOST("input_size") extern uint32_t input_size(void);
HOST("input_read") extern uint32_t input_read(void *, uint32_t, uint32_t);
HOST("output_write") extern void output_write(const void *, uint32_t);
HOST("time") extern uint64_t ordered_time(void);

enum { SLOTS = 16, PLACES = 256 };
enum { READ, WRITE, SWAP, PUT, GET, DELETE, PUSH, POP, TRANSFER, BALANCES, NOW };

// s is volatile, so that what a flipped bit did is read, and not static, so that it stays in one piece.
volatile struct {
  uint64_t mark;
  uint64_t registers[SLOTS];
  uint64_t keys[SLOTS], present[SLOTS];
  uint64_t head, tail, queue[PLACES];
  uint64_t accounts[SLOTS];
} s = {0x6b72616d5f6c6f63, {0}, {0}, {0}, 0, 0, {0}, {0}};

static void out(uint64_t v) { output_write(&v, sizeof v); }

__attribute__((export_name("lockstep_init"))) uint32_t init(void) {
  for (int i = 0; i < SLOTS; i++) s.accounts[i] = 100;
  return 0;
}

__attribute__((export_name("lockstep_apply"))) uint32_t apply(void) {
  struct { uint64_t op, a, b, c; } in = {0, 0, 0, 0};
  if (input_size() != sizeof in) return 1;
  input_read(&in, sizeof in, 0);
  uint32_t i = in.a % SLOTS;
  switch (in.op) {
  case READ: out(s.registers[i]); return 0;
  case WRITE: s.registers[i] = in.b; out(0); return 0;
  case SWAP: {
    uint64_t same = s.registers[i] == in.b;
    if (same) s.registers[i] = in.c;
    out(same);
    return 0;
  }
  case PUT: s.keys[i] = in.b; s.present[i] = 1; out(0); return 0;
  case GET: out(s.present[i]); out(s.present[i] ? s.keys[i] : 0); return 0;
  case DELETE: out(s.present[i]); s.present[i] = 0; return 0;
  case PUSH:
    if (s.tail - s.head >= PLACES) return 2;
    s.queue[s.tail++ % PLACES] = in.b;
    out(0);
    return 0;
  case POP:
    if (s.head == s.tail) { out(0); out(0); return 0; }
    out(1);
    out(s.queue[s.head++ % PLACES]);
    return 0;
  case TRANSFER: {
    uint32_t to = in.b % SLOTS;
    uint64_t can = s.accounts[i] >= in.c;
    if (can) { s.accounts[i] -= in.c; s.accounts[to] += in.c; }
    out(can);
    return 0;
  }
  case BALANCES:
    for (int k = 0; k < SLOTS; k++) out(s.accounts[k]);
    return 0;
  case NOW: out(ordered_time()); return 0;
  }
  return 1;
}
