// Package hostile has guests that mean harm, and tests that they do none.
//
// A guest is a case: a module made byte by byte (module_test.go), and the receipt
// that it must get, down to its gas. Each runs twice: alone on both engines, and
// as a machine of a cluster where two replicas vote, one that compiles and one that
// interprets. The majority of two is two, so that every receipt a client accepts is one
// that both engines gave. Meanwhile a neighbour on the same nodes counts, and must
// not miss a number or keep anyone waiting.
package hostile
