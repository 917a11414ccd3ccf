// Package readme holds README.md to its word: the commands that newcomers type first, the
// cluster, which is run, and the guest, which is built, checked and called. How blocks of pages
// are marked, and what is compared, is said in package pages.
package readme
