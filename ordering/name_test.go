package ordering

import (
	"strings"
	"testing"
)

func TestNameValidate(t *testing.T) {
	for name, ok := range map[string]bool{
		"bank": true, "a": true, "7": true, "a-b--c": true, strings.Repeat("x", MaxName): true,
		"": false, "-a": false, "a-": false, "-": false, "Bank": false, "a.b": false, "a_b": false,
		"a b": false, "a>": false, "*": false, "ä": false, "a\n": false, "a/b": false,
		strings.Repeat("x", MaxName+1): false,
	} {
		if err := Name(name).Validate(); (err == nil) != ok {
			t.Errorf("Validate(%q) = %v, want ok %v", name, err, ok)
		}
	}
}
