// Package newcomer follows the pages in docs as somebody does who has nothing
// but them: see package pages for how. Each tutorial begins in a folder with nothing but the command and
// ends with its guest replicated, upgraded and audited, which is looked at from outside.
package newcomer
