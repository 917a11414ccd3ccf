//go:build !toolchains

package languages

import "testing"

// builders make the modules that are not committed, by language.
var builders = map[string]func(t *testing.T, example string) []byte{"go": buildGo}
