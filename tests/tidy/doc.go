// Package tidy holds the rules of the tree that a test can check: who may import
// whom (layers_test.go, libraries_test.go), what a pure package may contain
// (pure_test.go, source_test.go), how packages are named and documented
// (package_test.go), and what stands in the files that are committed (file_test.go,
// link_test.go).
//
// A rule is a function from what is looked at to complaints, each with the reason
// in it. Every rule is run twice: on the tree, where it must have nothing to
// say, and on a small example that breaks it, where it must say so.
package tidy
