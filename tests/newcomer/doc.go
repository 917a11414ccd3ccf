// Package newcomer follows the pages in docs as somebody does who has nothing
// but them: it runs their commands in an empty folder, and compares what they
// claim. Only the line that builds the command is changed, to take one that was built,
// and ports, so that tests do not meet.
package newcomer
