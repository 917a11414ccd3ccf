#include "textflag.h"

// BLAKE3 of four pages at once. Sixteen chunks of 1 KiB, four of each page, are hashed side by side, one in
// each 32-bit lane: Z0 to Z15 are the words of the states, the M are the words of the blocks. Then the halves of pages
// are put together, and pages of halves, in the lanes in which their first chunks were.

#define M0 Z16
#define M1 Z18
#define M2 Z17
#define M3 Z19
#define M4 Z20
#define M5 Z22
#define M6 Z21
#define M7 Z23
#define M8 Z24
#define M9 Z26
#define M10 Z25
#define M11 Z27
#define M12 Z28
#define M13 Z30
#define M14 Z29
#define M15 Z31

#define ADD4(x0, x1, x2, x3, y0, y1, y2, y3) \
	VPADDD x0, y0, y0; \
	VPADDD x1, y1, y1; \
	VPADDD x2, y2, y2; \
	VPADDD x3, y3, y3

#define XOR_ROTATE4(n, x0, x1, x2, x3, y0, y1, y2, y3) \
	VPXORD x0, y0, y0; \
	VPXORD x1, y1, y1; \
	VPXORD x2, y2, y2; \
	VPXORD x3, y3, y3; \
	VPRORD n, y0, y0;  \
	VPRORD n, y1, y1;  \
	VPRORD n, y2, y2;  \
	VPRORD n, y3, y3

// G is the function of that name, on four columns or diagonals, whose first words are Z0 to Z3.
#define G(b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, y0, x1, y1, x2, y2, x3, y3) \
	ADD4(x0, x1, x2, x3, Z0, Z1, Z2, Z3); \
	ADD4(b0, b1, b2, b3, Z0, Z1, Z2, Z3); \
	XOR_ROTATE4($16, Z0, Z1, Z2, Z3, d0, d1, d2, d3); \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3); \
	XOR_ROTATE4($12, c0, c1, c2, c3, b0, b1, b2, b3); \
	ADD4(y0, y1, y2, y3, Z0, Z1, Z2, Z3); \
	ADD4(b0, b1, b2, b3, Z0, Z1, Z2, Z3); \
	XOR_ROTATE4($8, Z0, Z1, Z2, Z3, d0, d1, d2, d3); \
	ADD4(d0, d1, d2, d3, c0, c1, c2, c3); \
	XOR_ROTATE4($7, c0, c1, c2, c3, b0, b1, b2, b3)

#define ROUND(x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15) \
	G(Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15, x0, x1, x2, x3, x4, x5, x6, x7); \
	G(Z5, Z6, Z7, Z4, Z10, Z11, Z8, Z9, Z15, Z12, Z13, Z14, x8, x9, x10, x11, x12, x13, x14, x15)

// What is done with two registers to transpose the blocks, which are rows, into words.
#define WORDS(a, b) VPUNPCKLDQ b, a, Z8; VPUNPCKHDQ b, a, b; VMOVDQA64 Z8, a
#define PAIRS(a, b) VPUNPCKLQDQ b, a, Z8; VPUNPCKHQDQ b, a, b; VMOVDQA64 Z8, a
#define QUADS(a, b) VSHUFI32X4 $0x88, b, a, Z8; VSHUFI32X4 $0xdd, b, a, b; VMOVDQA64 Z8, a

#define LOAD(page, z0, z1, z2, z3) \
	VMOVDQU32 (page)(CX*1), z0;     \
	VMOVDQU32 1024(page)(CX*1), z1; \
	VMOVDQU32 2048(page)(CX*1), z2; \
	VMOVDQU32 3072(page)(CX*1), z3; \
	WORDS(z0, z1); \
	WORDS(z2, z3); \
	PAIRS(z0, z2); \
	PAIRS(z1, z3)

#define SPREAD(z0, z1, z2, z3) \
	QUADS(z0, z1); \
	QUADS(z2, z3); \
	QUADS(z0, z2); \
	QUADS(z1, z3)

// JOIN makes a word of left halves and one of right ones from a word of all of them.
#define JOIN(op, n, h, left, right) VMOVDQA64 h, left; op n, h, right

#define JOIN8(op, n) \
	JOIN(op, n, Z0, M0, M8);  \
	JOIN(op, n, Z1, M1, M9);  \
	JOIN(op, n, Z2, M2, M10); \
	JOIN(op, n, Z3, M3, M11); \
	JOIN(op, n, Z4, M4, M12); \
	JOIN(op, n, Z5, M5, M13); \
	JOIN(op, n, Z6, M6, M14); \
	JOIN(op, n, Z7, M7, M15)

#define KEY \
	VPBROADCASTD iv<>+0(SB), Z0;  \
	VPBROADCASTD iv<>+4(SB), Z1;  \
	VPBROADCASTD iv<>+8(SB), Z2;  \
	VPBROADCASTD iv<>+12(SB), Z3; \
	VPBROADCASTD iv<>+16(SB), Z4; \
	VPBROADCASTD iv<>+20(SB), Z5; \
	VPBROADCASTD iv<>+24(SB), Z6; \
	VPBROADCASTD iv<>+28(SB), Z7

// Flags of a block.
#define CHUNK_START $1
#define CHUNK_END $2
#define PARENT $4
#define PARENT_ROOT $12

DATA iv<>+0(SB)/4, $0x6a09e667
DATA iv<>+4(SB)/4, $0xbb67ae85
DATA iv<>+8(SB)/4, $0x3c6ef372
DATA iv<>+12(SB)/4, $0xa54ff53a
DATA iv<>+16(SB)/4, $0x510e527f
DATA iv<>+20(SB)/4, $0x9b05688c
DATA iv<>+24(SB)/4, $0x1f83d9ab
DATA iv<>+28(SB)/4, $0x5be0cd19
GLOBL iv<>(SB), RODATA|NOPTR, $32

// Numbers of chunks within their pages.
DATA chunks<>+0(SB)/8, $0x0000000100000000
DATA chunks<>+8(SB)/8, $0x0000000300000002
GLOBL chunks<>(SB), RODATA|NOPTR, $16

// func digestFour(pages *[4]*byte, words *[8][16]uint32)
TEXT ·digestFour(SB), NOSPLIT, $0-16
	MOVQ pages+0(FP), SI
	MOVQ words+8(FP), DI
	MOVQ 0(SI), R8
	MOVQ 8(SI), R9
	MOVQ 16(SI), R10
	MOVQ 24(SI), R11
	MOVL $64, BX
	MOVL CHUNK_START, AX
	XORQ CX, CX          // where in the chunks; beyond their end, what is put together
	KEY

chunk:
	LOAD(R8, Z16, Z17, Z18, Z19)
	LOAD(R9, Z20, Z21, Z22, Z23)
	LOAD(R10, Z24, Z25, Z26, Z27)
	LOAD(R11, Z28, Z29, Z30, Z31)
	SPREAD(Z16, Z20, Z24, Z28)
	SPREAD(Z17, Z21, Z25, Z29)
	SPREAD(Z18, Z22, Z26, Z30)
	SPREAD(Z19, Z23, Z27, Z31)
	VBROADCASTI32X4 chunks<>(SB), Z12

compress:
	VPBROADCASTD iv<>+0(SB), Z8
	VPBROADCASTD iv<>+4(SB), Z9
	VPBROADCASTD iv<>+8(SB), Z10
	VPBROADCASTD iv<>+12(SB), Z11
	VPXORD Z13, Z13, Z13
	VPBROADCASTD BX, Z14
	VPBROADCASTD AX, Z15
	ROUND(M0, M1, M2, M3, M4, M5, M6, M7, M8, M9, M10, M11, M12, M13, M14, M15)
	ROUND(M2, M6, M3, M10, M7, M0, M4, M13, M1, M11, M12, M5, M9, M14, M15, M8)
	ROUND(M3, M4, M10, M12, M13, M2, M7, M14, M6, M5, M9, M0, M11, M15, M8, M1)
	ROUND(M10, M7, M12, M9, M14, M3, M13, M15, M4, M0, M11, M2, M5, M8, M1, M6)
	ROUND(M12, M13, M9, M11, M15, M10, M14, M8, M7, M2, M5, M3, M0, M1, M6, M4)
	ROUND(M9, M14, M11, M5, M8, M12, M15, M1, M13, M3, M0, M10, M2, M6, M4, M7)
	ROUND(M11, M15, M5, M0, M1, M9, M8, M6, M14, M10, M2, M12, M3, M4, M7, M13)
	VPXORD Z8, Z0, Z0
	VPXORD Z9, Z1, Z1
	VPXORD Z10, Z2, Z2
	VPXORD Z11, Z3, Z3
	VPXORD Z12, Z4, Z4
	VPXORD Z13, Z5, Z5
	VPXORD Z14, Z6, Z6
	VPXORD Z15, Z7, Z7
	ADDQ $64, CX
	XORL AX, AX
	CMPQ CX, $960
	JLT  chunk
	JEQ  last
	CMPQ CX, $1088
	JLT  halves
	JEQ  wholes
	VMOVDQU32 Z0, 0(DI)
	VMOVDQU32 Z1, 64(DI)
	VMOVDQU32 Z2, 128(DI)
	VMOVDQU32 Z3, 192(DI)
	VMOVDQU32 Z4, 256(DI)
	VMOVDQU32 Z5, 320(DI)
	VMOVDQU32 Z6, 384(DI)
	VMOVDQU32 Z7, 448(DI)
	VZEROUPPER
	RET

last:
	MOVL CHUNK_END, AX
	JMP  chunk

halves: // of pages, in even lanes: a chunk, and the one in the lane above
	JOIN8(VPSRLQ, $32)
	MOVL PARENT, AX
	JMP  parent

wholes: // in each fourth lane: a half, and the one two lanes above
	JOIN8(VPSHUFD, $0x4e)
	MOVL PARENT_ROOT, AX

parent:
	KEY
	VPXORD Z12, Z12, Z12
	JMP compress
