// Package guests holds the SDKs and the examples, so that the command can begin
// a new project with them.
package guests

import "embed"

// Files are the SDKs, and the counter in each language with its description, by their paths below
// this folder.
//
//go:embed sdk examples/counter/*/* examples/counter/interface.json
var Files embed.FS
