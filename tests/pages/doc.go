// Package pages follows Markdown pages as a reader would: it runs their commands,
// writes their files, and compares what they claim. tests/readme, tests/newcomer and
// the tests of this package are written with it.
//
// A page is read from top to bottom in one folder, which is empty at first. What a
// fenced block is for, its info string says: the language, and a word after it.
//
//	```sh              commands for the reader's terminal, which must succeed
//	```sh terminals    each line is for a terminal of its own, where it is left running;
//	                   the reader goes on when each has said that it is ready
//	```sh install      what a reader installs once, and a test's machine has: not run
//	```sh elsewhere    for another computer, or for root: not run
//	```output          what the sh block before it prints
//	```console         lines after "$ " are commands, lines after "> " are typed into the
//	                   one before them, and the others are what it prints
//	```go file=a/b.go  is written to that file; so for any language
//	```go in=a/b.go    stands in that file; so for any language
//	```diff            what the reader changes with an editor: applied by git apply
//
// A command that ends in a backslash goes on in the next line. In claimed output, … on a line of
// its own stands for any lines, and … within a line for any text; runs of blanks
// are one. A console command without output claims nothing about it. Other
// blocks are not looked at.
//
// One terminal is one bash, so that what a block exports holds in the next. Commands are run as
// they stand, but for what keeps tests apart from each other and from who runs them: the
// folder has the command as bin/lockstep, as docs/quickstart.md builds it, and it is on the PATH too;
// 'go build -o FILE ./cmd/lockstep' builds this tree; the ports from 4222, 6222 and 8222 on are others, that are
// free; the configuration of users is a folder of the test. After a loop that starts nodes
// in the background the reader waits until three answer; what lockstep status says of a moment
// is asked again until it is what the page claims.
package pages
