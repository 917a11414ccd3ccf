// Package differential runs random modules in several ways and compares all that
// can be seen: results, traps, gas, memory and globals.
//
// A module of the generator (generate_test.go) is run instrumented on wazero's
// compiler and interpreter and on V8, with gas handed out in other slices on each. Modules
// that end by themselves and show no bits of a computed NaN are run as they are, too, on
// V8: the rewriting must not be seen. Not on wazero, which has bugs of its own: docs/engine-bugs.md. Those of binaryen's
// fuzzer (`wasm-opt -ttf`) are run the same way.
//
// A recorded run of a real guest has the same root on V8, under a host of its
// own (testdata/replay.mjs).
//
// V8 is that of Node.js, which runs testdata/v8.mjs.
package differential
