// Package readme holds README.md to its word.
package readme
