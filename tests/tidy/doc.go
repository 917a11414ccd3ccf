// Package tidy holds the rules of the tree that a test can check.
package tidy
